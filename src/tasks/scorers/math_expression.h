// Formulas by their values.
#pragma once
#include <array>
#include <optional>

#include "tasks/scorers/math_tokens.h"

namespace caprl {

/// A formula's values where its variables have certain fixed values, three for each; of a number
/// they are the same. Formulas that agree in all three are taken for equal (Schwartz, "Fast
/// probabilistic algorithms for verification of polynomial identities", J. ACM 1980).
using MathPoints = std::array<double, 3>;

/// Absent for what is no formula.
std::optional<MathPoints> evaluate_expression(MathTokens tokens);

/// Whether `tokens` are one variable: a letter or Greek letter, perhaps with an index or "(x)".
/// → its name.
std::optional<std::string> variable_name(MathTokens tokens);

}  // namespace caprl
