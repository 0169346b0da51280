#include <algorithm>

#include "answerer.h"
#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr std::string_view kCaption = "{caption}", kQuestion = "{question}";

/// The published prompt's meaning: the caption alone counts, and not being able to answer is an
/// answer.
constexpr std::string_view kBuiltInPrompt =
    R"(You see the description of an image between two markers, but not the image. Answer the multiple-choice question after it
using nothing but what the description says. Do not use outside knowledge and do not guess: if the description does not say it,
choose the option that says so, if there is one. Reply with the letter of one option.

Example 1
[description begins] A brown dog sleeps on a red sofa next to a window. [description ends]
What colour is the sofa?
A) blue
B) green
C) red
D) grey
The answer is C

Example 2
[description begins] Two children play football in a park. [description ends]
What is written on the ball?
A) a number
B) a name
C) a star
D) a date
E) Can not answer based on the caption
The answer is E

Now the description and the question that count.
[description begins] {caption} [description ends]
{question})";

void require_placeholder(std::string_view text, std::string_view placeholder) {
  if (text.find(placeholder) == std::string_view::npos)
    throw InputError("config: 'reward.answerer.prompt': expected the placeholder {}, got none",
                     placeholder);
}

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

AnswerPrompt::AnswerPrompt(const AnswererConfig& config, std::shared_ptr<const Tokenizer> tokenizer,
                           std::shared_ptr<const ChatFormat> chat)
    : system_prompt_(config.system_prompt),
      template_(config.prompt.empty() ? std::string(kBuiltInPrompt) : config.prompt),
      assistant_prefix_(config.assistant_prefix),
      tokenizer_(std::move(tokenizer)),
      chat_(std::move(chat)) {
  require_placeholder(template_, kCaption);
  require_placeholder(template_, kQuestion);
}

BranchedSequence AnswerPrompt::build(const Inquiry& inquiry) const {
  std::vector<std::vector<int64_t>> prompts;
  for (const AskedQuestion& question : inquiry.questions) {
    std::vector<ChatMessage> messages;
    if (!system_prompt_.empty())
      messages.push_back({"system", {{ChatPart::Kind::kText, system_prompt_}}});
    messages.push_back(
        {"user", {{ChatPart::Kind::kText, fill_in(template_, inquiry.caption, question.text)}}});
    prompts.push_back(chat_->render(messages, true, assistant_prefix_));
  }
  size_t shared = prompts.front().size() - 1;
  for (const auto& prompt : prompts) {
    shared = std::min(shared, prompt.size() - 1);
    shared = static_cast<size_t>(std::mismatch(prompt.begin(),
                                               prompt.begin() + static_cast<int64_t>(shared),
                                               prompts.front().begin())
                                     .first -
                                 prompt.begin());
  }
  BranchedSequence sequence;
  const auto at = static_cast<int64_t>(shared);
  sequence.prefix.ids.assign(prompts.front().begin(), prompts.front().begin() + at);
  for (const auto& prompt : prompts)
    sequence.branches.emplace_back(prompt.begin() + at, prompt.end());
  return sequence;
}

char first_letter(std::string_view text) {
  const auto found =
      std::find_if(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'I'; });
  return found == text.end() ? '\0' : *found;
}

}  // namespace caprl
