#include "tasks/eval/prompt.h"

#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr std::string_view kCaption = "{caption}", kQuestion = "{question}";

/// The published prompt's meaning: the caption stands for the image, and the answer comes in a form
/// that can be read.
constexpr std::string_view kBuiltInPrompt =
    R"(This is a detailed caption of an image: {caption}
Answer the question by what the caption says.
{question}
First reason step by step between <think> and </think>. Then give the final answer, an option's letter if there are options, as <answer>\boxed{the answer}</answer>.)";

/// Fills both placeholders in one pass, so that a caption that spells a placeholder is only text.
std::string fill_in(std::string_view text, std::string_view caption, std::string_view question) {
  std::string filled;
  for (size_t i = 0; i < text.size();) {
    if (text.substr(i).starts_with(kCaption)) {
      filled += caption;
      i += kCaption.size();
    } else if (text.substr(i).starts_with(kQuestion)) {
      filled += question;
      i += kQuestion.size();
    } else {
      filled += text[i++];
    }
  }
  return filled;
}

}  // namespace

void check_prompt(std::string_view prompt) {
  for (const std::string_view placeholder : {kCaption, kQuestion})
    if (!prompt.empty() && prompt.find(placeholder) == std::string_view::npos)
      throw InputError("config: 'answerer.prompt': expected the placeholder {}, got none",
                       placeholder);
}

std::vector<ChatMessage> answerer_messages(const EvalAnswererConfig& config,
                                           std::string_view caption, std::string_view question) {
  std::vector<ChatMessage> messages;
  if (!config.system_prompt.empty())
    messages.push_back({"system", {{ChatPart::Kind::kText, config.system_prompt}}});
  const std::string_view text = config.prompt.empty() ? kBuiltInPrompt : config.prompt;
  messages.push_back({"user", {{ChatPart::Kind::kText, fill_in(text, caption, question)}}});
  return messages;
}

}  // namespace caprl
