#include "written.h"

#include <fmt/format.h>

namespace caprl::demo {
namespace {

// More than half of the questions need no image: a pool in which curation has something to do.
constexpr double kTold = 0.5, kWrongKey = 0.15, kNoAnswer = 0.05;

Flaw draw_flaw(Draws& draws) {
  const double kind = draws.uniform();
  if (kind < kTold) return Flaw::kTold;
  if (kind < kTold + kWrongKey) return Flaw::kWrongKey;
  return kind < kTold + kWrongKey + kNoAnswer ? Flaw::kNoAnswer : Flaw::kNone;
}

char letter(int64_t choice) { return static_cast<char>('A' + choice); }

}  // namespace

std::string_view flaw_name(Flaw flaw) {
  switch (flaw) {
    case Flaw::kTold:
      return "told";
    case Flaw::kWrongKey:
      return "wrong_key";
    case Flaw::kNoAnswer:
      return "no_answer";
    default:
      return "none";
  }
}

std::vector<WrittenQuestion> draw_written_questions(const Scene& scene, Draws& draws) {
  std::vector<Topic> topics = all_topics();
  draws.shuffle(topics);
  topics.resize(kWrittenPerImage);
  std::vector<WrittenQuestion> written;
  for (const Topic& topic : topics) {
    WrittenQuestion& one =
        written.emplace_back(WrittenQuestion{draw_question(topic, scene, draws), draw_flaw(draws)});
    const auto count = static_cast<int64_t>(one.question.choices.size());
    if (one.flaw == Flaw::kTold)
      one.question.text = topic.tell(topic.truth(scene)) + " " + one.question.text;
    if (one.flaw == Flaw::kWrongKey)
      one.question.answer = (one.question.answer + 1 + draws.below(count - 1)) % count;
  }
  return written;
}

std::string written_response(const std::vector<WrittenQuestion>& questions) {
  std::string text;
  for (size_t i = 0; i < questions.size(); ++i) {
    const Question& question = questions[i].question;
    text += fmt::format("{}#### {}. **{}**\n", i == 0 ? "" : "\n", i + 1, question.text);
    for (size_t choice = 0; choice < question.choices.size(); ++choice)
      text += fmt::format("- {}) {}\n", letter(choice), question.choices[choice]);
    if (questions[i].flaw != Flaw::kNoAnswer)
      text += fmt::format("\n**Answer:** {}) {}\n", letter(question.answer),
                          question.choices[question.answer]);
  }
  return text;
}

}  // namespace caprl::demo
