// The second stage: the questions are found in the texts, and asked with the image and without.
#pragma once
#include "tasks/qa/stage.h"

namespace caprl {

inline constexpr const char* kAnswered = "answered";

void answer_questions(const QaRun& run, const StageItems& todo);

}  // namespace caprl
