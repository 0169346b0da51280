// Units after a value.
#pragma once
#include <string>

#include "tasks/scorers/math_tokens.h"

namespace caprl {

struct MathUnit {
  size_t begin = 0;  // of the tokens that are the unit; their number if there is none
  std::string name;  // "cm", "cm^2", "km/h": the same for every spelling
};

/// The longest end of `tokens` that is a unit and leaves something before it.
MathUnit find_unit(MathTokens tokens);

}  // namespace caprl
