#include "caprl/reward/term.h"

namespace caprl {

void RewardTerm::fields(ConfigVisitor& v) {
  v.field("weight", weight_, "of this term in the reward; 0: off", Range{-1e6, 1e6});
  term_fields(v);
}

TermValues CaptionTerm::score(std::span<const GroupToScore> groups, const GroupScores& answered,
                              uint64_t /*step*/) const {
  TermValues values;
  for (size_t g = 0; g < groups.size(); ++g) {
    auto& mine = values.emplace_back();
    for (size_t i = 0; i < groups[g].captions.size(); ++i)
      mine.push_back(value(groups[g].captions[i], answered[g][i]));
  }
  return values;
}

}  // namespace caprl
