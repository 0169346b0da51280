// Biten et al., "Scene Text Visual Question Answering", arXiv 1905.13648, section 5; as in
// InfographicVQA.
#include <algorithm>
#include <numeric>

#include "caprl/text/words.h"
#include "tasks/scorers/answer_text.h"
#include "tasks/scorers/scorer.h"

namespace caprl {
namespace {

constexpr double kThreshold = 0.5;

size_t levenshtein(const std::u32string& a, const std::u32string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row[b.size()];
}

double similarity(std::string_view given, std::string_view right) {
  const std::u32string a = code_points(lower_and_squeeze(given)),
                       b = code_points(lower_and_squeeze(right));
  const size_t longest = std::max(a.size(), b.size());
  if (longest == 0) return 1;
  const double value = 1 - static_cast<double>(levenshtein(a, b)) / static_cast<double>(longest);
  return value < kThreshold ? 0 : value;
}

}  // namespace

double score_anls(const Expected& expected, std::string_view given) {
  double best = 0;
  for (const std::string& answer : expected.answers)
    best = std::max(best, similarity(unwrap(given), answer));
  return best;
}

}  // namespace caprl
