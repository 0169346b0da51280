// Questions as a careless writer asks them, for question curation to tell apart.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "questions.h"

namespace caprl::demo {

enum class Flaw {
  kNone,
  kTold,      // the question tells its answer, and needs no image
  kWrongKey,  // the answer that is given is not the right one
  kNoAnswer,  // no answer is given
};
std::string_view flaw_name(Flaw flaw);  // "none", "told", "wrong_key", "no_answer"

struct WrittenQuestion {
  Question question;
  Flaw flaw = Flaw::kNone;
};

inline constexpr int64_t kWrittenPerImage = 8;

/// kWrittenPerImage questions on as many topics.
std::vector<WrittenQuestion> draw_written_questions(const Scene& scene, Draws& draws);

/// The writer's response, in the form that `caprl qa` asks for (docs/QA.md).
std::string written_response(const std::vector<WrittenQuestion>& questions);

}  // namespace caprl::demo
