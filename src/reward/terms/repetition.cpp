#include <set>

#include "caprl/text/words.h"
#include "reward/terms/terms.h"

namespace caprl {
namespace {

/// Minus the share of n-grams of words that were there before: 0 for none, near −1 for a loop.
class RepetitionTerm : public TermOf<RepetitionTerm, CaptionTerm> {
 public:
  std::string_view name() const override { return "repetition"; }
  std::string_view doc() const override {
    return "from 0 down to -1: minus the share of n-grams of words that the caption repeats";
  }
  void term_fields(ConfigVisitor& v) override {
    v.field("ngram_size", ngram_size_, "words of an n-gram", Range{1, 100});
  }
  std::optional<double> value(const CaptionToScore& caption, const CaptionReward&) const override {
    const auto words = split_words(caption.text);
    const auto size = static_cast<size_t>(ngram_size_);
    if (words.size() < size) return 0;
    std::set<std::vector<std::string_view>> seen;
    const size_t count = words.size() - size + 1;
    for (size_t i = 0; i < count; ++i)
      seen.emplace(words.begin() + static_cast<ptrdiff_t>(i),
                   words.begin() + static_cast<ptrdiff_t>(i + size));
    return static_cast<double>(seen.size()) / static_cast<double>(count) - 1;
  }

 private:
  int64_t ngram_size_ = 4;
};

}  // namespace

std::unique_ptr<RewardTerm> make_repetition_term() { return std::make_unique<RepetitionTerm>(); }

}  // namespace caprl
