#include "tasks/eval/prompt.h"

#include <array>

#include "caprl/text/placeholders.h"

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

}  // namespace

void check_prompt(std::string_view prompt) {
  for (const std::string_view placeholder : {kCaption, kQuestion})
    if (!prompt.empty()) require_placeholder(prompt, placeholder, "config: 'answerer.prompt'");
}

std::vector<ChatMessage> answerer_messages(const EvalAnswererConfig& config,
                                           std::string_view caption, std::string_view question) {
  std::vector<ChatMessage> messages;
  if (!config.system_prompt.empty())
    messages.push_back({"system", {{ChatPart::Kind::kText, config.system_prompt}}});
  const std::string_view text = config.prompt.empty() ? kBuiltInPrompt : config.prompt;
  const std::array<Filling, 2> fillings{{{kCaption, caption}, {kQuestion, question}}};
  messages.push_back({"user", {{ChatPart::Kind::kText, fill_in(text, fillings)}}});
  return messages;
}

}  // namespace caprl
