#include <algorithm>

#include "caprl/core/error.h"
#include "reward/terms/terms.h"

namespace caprl {
namespace {

/// CapRL++'s R_len: 1 up to full_tokens, falling in a line to 0 at zero_tokens.
class LengthTerm : public TermOf<LengthTerm, CaptionTerm> {
 public:
  std::string_view name() const override { return "length"; }
  std::string_view doc() const override {
    return "1 for captions up to full_tokens, less for longer ones (CapRL++)";
  }
  void term_fields(ConfigVisitor& v) override {
    v.field("full_tokens", full_tokens_, "tokens up to which the value is 1", Range{0, 1e9});
    v.field("zero_tokens", zero_tokens_, "tokens from which on it is 0; in between it is a line",
            Range{1, 1e9});
  }
  bool needs_more_than_text() const override { return true; }
  void validate() const override {
    if (zero_tokens_ <= full_tokens_)
      throw InputError(
          "config: 'reward.length.zero_tokens': expected more than full_tokens ({}), got {}",
          full_tokens_, zero_tokens_);
  }
  std::optional<double> value(const CaptionToScore& caption, const CaptionReward&) const override {
    return std::clamp(static_cast<double>(zero_tokens_ - caption.num_tokens) /
                          static_cast<double>(zero_tokens_ - full_tokens_),
                      0.0, 1.0);
  }

 private:
  int64_t full_tokens_ = 2048, zero_tokens_ = 3072;
};

}  // namespace

std::unique_ptr<RewardTerm> make_length_term() { return std::make_unique<LengthTerm>(); }

}  // namespace caprl
