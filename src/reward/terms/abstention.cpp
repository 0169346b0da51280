#include "reward/terms/terms.h"

namespace caprl {
namespace {

/// A wrong answer and an abstention both earn nothing in the published protocol. A positive weight
/// makes saying nothing better than misleading, a negative one the reverse.
class AbstentionTerm : public TermOf<AbstentionTerm, CaptionTerm> {
 public:
  std::string_view name() const override { return "abstention"; }
  std::string_view doc() const override {
    return "0 to 1: share of the answers that chose reward.abstain_choice; weight above 0: a "
           "bonus, "
           "below: a penalty";
  }
  void term_fields(ConfigVisitor&) override {}
  std::optional<double> value(const CaptionToScore&, const CaptionReward& answered) const override {
    if (answered.num_asked == 0) return std::nullopt;
    int64_t abstained = 0;
    for (const AnswerRecord& answer : answered.answers) abstained += answer.abstained();
    return static_cast<double>(abstained) / static_cast<double>(answered.num_asked);
  }
};

}  // namespace

std::unique_ptr<RewardTerm> make_abstention_term() { return std::make_unique<AbstentionTerm>(); }

}  // namespace caprl
