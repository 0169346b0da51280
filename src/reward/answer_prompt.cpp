#include "answer_prompt.h"

#include <algorithm>
#include <array>

#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "caprl/generation/shared_prefix.h"
#include "caprl/text/placeholders.h"

namespace caprl {
namespace {

constexpr std::string_view kCaption = "{caption}", kQuestion = "{question}";

/// What the published prompt says: the caption alone counts, and not being able to answer is an
/// answer.
constexpr std::string_view kBuiltInPrompt =
    R"(Below is the description of an image, between two markers, and a multiple-choice question.
You cannot see the image. Answer from what the description says and from nothing else.
Knowledge of the world and guesses do not count, however likely they are.
If the description does not say it, choose the option that says so.
Reply with the letter of one option.

First example
[description begins]
A brown dog sleeps on a red sofa next to a window.
[description ends]
What is the color of the sofa?
A) blue
B) green
C) red
D) grey
E) Can not answer based on the caption
The answer is C

Second example
[description begins]
Two children play football in a park.
[description ends]
What is written on the ball?
A) a number
B) a name
C) a star
D) a date
E) Can not answer based on the caption
The answer is E

Now it is your turn
[description begins]
{caption}
[description ends]
{question})";

}  // namespace

AnswerPrompt::AnswerPrompt(const AnswererConfig& config, std::shared_ptr<const Tokenizer> tokenizer,
                           std::shared_ptr<const ChatFormat> chat, int64_t max_tokens)
    : system_prompt_(config.system_prompt),
      template_(config.prompt.empty() ? std::string(kBuiltInPrompt) : config.prompt),
      assistant_prefix_(config.assistant_prefix),
      tokenizer_(std::move(tokenizer)),
      chat_(std::move(chat)),
      max_tokens_(max_tokens) {
  for (const std::string_view placeholder : {kCaption, kQuestion})
    require_placeholder(template_, placeholder, "config: 'reward.answerer.prompt'");
}

std::vector<int64_t> AnswerPrompt::ids(const std::string& caption,
                                       const AskedQuestion& question) const {
  std::vector<ChatMessage> messages;
  if (!system_prompt_.empty())
    messages.push_back({"system", {{ChatPart::Kind::kText, system_prompt_}}});
  const std::array<Filling, 2> fillings{{{kCaption, caption}, {kQuestion, question.text}}};
  messages.push_back({"user", {{ChatPart::Kind::kText, fill_in(template_, fillings)}}});
  return chat_->render(messages, true, assistant_prefix_);
}

RenderedInquiry AnswerPrompt::render(const Inquiry& inquiry) const {
  RenderedInquiry rendered;
  std::vector<std::vector<int64_t>> prompts;
  for (size_t i = 0; i < inquiry.questions.size(); ++i) {
    std::vector<int64_t> prompt = ids(inquiry.caption, inquiry.questions[i]);
    if (static_cast<int64_t>(prompt.size()) > max_tokens_) continue;
    prompts.push_back(std::move(prompt));
    rendered.questions.push_back(i);
  }
  if (prompts.empty()) return rendered;
  const int64_t shared = shared_length(prompts);
  const auto& first = prompts.front();
  rendered.sequence.prefix.ids.assign(first.begin(), first.begin() + shared);
  rendered.num_tokens = shared;
  for (const auto& prompt : prompts) {
    rendered.sequence.branches.emplace_back(prompt.begin() + shared, prompt.end());
    rendered.num_tokens += static_cast<int64_t>(prompt.size()) - shared;
  }
  return rendered;
}

std::vector<RenderedInquiry> AnswerPrompt::render(std::span<const Inquiry> inquiries) const {
  std::vector<RenderedInquiry> rendered(inquiries.size());
  parallel_for(0, static_cast<int64_t>(inquiries.size()), 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) rendered[i] = render(inquiries[i]);
  });
  return rendered;
}

}  // namespace caprl
