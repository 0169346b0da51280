// Equivalence of answers, as far as the benchmarks' forms go: numbers, fractions, percent, units,
// LaTeX, variables, pairs, intervals, sets, equations, inequalities; other texts letter by letter.
#include <algorithm>

#include "caprl/text/words.h"
#include "tasks/scorers/answer_text.h"
#include "tasks/scorers/math_value.h"
#include "tasks/scorers/scorer.h"

namespace caprl {
namespace {

/// Lower case without white space and the full stop at the end.
std::string letters(std::string_view text) {
  std::string all = lower_and_squeeze(without_full_stop(text));
  std::erase(all, ' ');
  return all;
}

bool is_right(std::string_view given, std::string_view right) {
  const std::string mine = letters(given);
  if (mine.empty()) return false;
  if (mine == letters(right)) return true;
  const auto a = parse_math(without_full_stop(given)), b = parse_math(without_full_stop(right));
  return a && b && same_math(*a, *b);
}

}  // namespace

double score_math(const Expected& expected, std::string_view given) {
  for (const std::string& answer : expected.answers)
    if (is_right(unwrap(given), unwrap(answer))) return 1;
  return 0;
}

}  // namespace caprl
