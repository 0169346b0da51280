#include "tasks/scorers/scorer.h"

#include <array>
#include <utility>

namespace caprl {
namespace {

constexpr std::array<std::pair<std::string_view, Scorer>, 5> kScorers = {{
    {"choice", score_choice},
    {"numeric", score_numeric},
    {"chart", score_chart},
    {"anls", score_anls},
    {"math", score_math},
}};

}  // namespace

Scorer find_scorer(std::string_view name) {
  for (const auto& [known, scorer] : kScorers)
    if (known == name) return scorer;
  return nullptr;
}

std::string scorer_names() {
  std::string names;
  for (const auto& [name, scorer] : kScorers) (names += names.empty() ? "" : ", ") += name;
  return names;
}

}  // namespace caprl
