// The first stage: a model writes questions about each image.
#pragma once
#include "tasks/qa/stage.h"

namespace caprl {

inline constexpr const char* kWritten = "written";

/// InputError for a prompt with one of the tokenizer's added tokens.
void write_questions(const QaRun& run, const StageItems& todo);

}  // namespace caprl
