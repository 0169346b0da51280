// Relaxed accuracy (Methani et al., "PlotQA", WACV 2020; Masry et al., "ChartQA", arXiv 2203.10244,
// section 5.1), with the scales at which CapRL's evaluation tries a number.
#include <cmath>

#include "caprl/text/words.h"
#include "tasks/scorers/answer_text.h"
#include "tasks/scorers/number.h"
#include "tasks/scorers/scorer.h"

namespace caprl {
namespace {

constexpr double kTolerance = 0.05;

bool is_close(double given, double right) {
  if (right == 0) return given == 0;
  return std::abs(given - right) / std::abs(right) <= kTolerance;
}

bool is_right(std::string_view given, std::string_view right) {
  const auto mine = parse_number(given), wanted = parse_number(right);
  if (!mine || !wanted) return lower_and_squeeze(given) == lower_and_squeeze(right);
  for (const double scale : {1.0, 0.01, 100.0})
    if (is_close(scale * mine->plain(), wanted->plain())) return true;
  return false;
}

}  // namespace

double score_chart(const Expected& expected, std::string_view given) {
  for (const std::string& answer : expected.answers)
    if (is_right(unwrap(given), unwrap(answer))) return 1;
  return 0;
}

}  // namespace caprl
