// The answer in what an answerer says.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "caprl/tasks/eval.h"

namespace caprl {

/// Absent if there is none in the form that is asked for.
std::optional<std::string> read_answer(std::string_view output, AnswerForm form);

}  // namespace caprl
