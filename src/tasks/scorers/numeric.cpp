#include <cmath>

#include "tasks/scorers/answer_text.h"
#include "tasks/scorers/number.h"
#include "tasks/scorers/scorer.h"

namespace caprl {

double score_numeric(const Expected& expected, std::string_view given) {
  constexpr double kRounding = 1e-9;
  const auto mine = parse_number(unwrap(given));
  if (!mine) return 0;
  for (const std::string& answer : expected.answers) {
    const auto right = parse_number(unwrap(answer));
    if (!right) continue;
    const double allowed = (expected.tolerance + kRounding) * std::abs(right->plain());
    if (std::abs(mine->plain() - right->plain()) <= allowed) return 1;
  }
  return 0;
}

}  // namespace caprl
