// What an answer of mathematics means: a value, a pair, an interval, a set, an equation.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/scorers/math_expression.h"

namespace caprl {

struct MathValue {
  enum class Kind {
    kQuantity,    // points, is_percent, unit
    kList,        // parts in any order: "1, 2", "\{1, 2\}"
    kBracketed,   // parts in order, between `marks`: pairs, intervals
    kUnion,       // parts in any order
    kEquation,    // points of left − right, up to a factor
    kInequality,  // parts between which `marks` are, "<" or "<="
  };
  Kind kind = Kind::kQuantity;
  std::string variable;  // of "x = 5": x
  MathPoints points{};
  bool is_percent = false;
  std::string unit;
  std::string marks;
  std::vector<MathValue> parts;
};

/// Absent for what is not understood, words for example.
std::optional<MathValue> parse_math(std::string_view text);

/// Whether both mean the same. Numbers: to 6 decimals, of small ones to 5 digits; 50 % is 50 and
/// 0.5; units must be the same if both have one.
bool same_math(const MathValue& a, const MathValue& b);

}  // namespace caprl
