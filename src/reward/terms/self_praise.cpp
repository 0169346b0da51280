#include <algorithm>

#include "caprl/text/words.h"
#include "reward/terms/terms.h"

namespace caprl {
namespace {

/// Sentences that speak of the caption instead of the image. LVLM judges teach captioners to write
/// them (CapRL, arXiv 2509.22647, training dynamics).
const std::vector<std::string>& known_praise() {
  static const std::vector<std::string> patterns{
      // NOLINTNEXTLINE(bugprone-suspicious-missing-comma): patterns of two lines
      R"(\b(this|the above|my)\b(\W+\w+){0,6}?\W+(description|caption|answer|response|summary)\b)"
      R"([^.!?]{0,60}\b(accurate|comprehensive|detailed|thorough|complete|precise|faithful)(ly)?\b)",
      R"(\b(this|the above|my)\b(\W+\w+){0,4}?\W+(accurate|comprehensive|detailed|thorough|precise))"
      R"((\W+\w+){0,3}?\W+(description|caption)\b)",
      R"(\b(description|caption)\b[^.!?]{0,60}\b(captur|cover|includ|reflect)\w*\s+(all|every)\b)",
      R"(\b(without (omitting|missing)|leav(es|ing) out) (any\w*|a single|nothing|no)\b)",
      R"(\bno (\w+ )?details? (is|are|was|were|has been|have been) (omitted|left out|missed|overlooked)\b)",
      R"(\bhigh[- ]quality (description|caption)\b)",
      R"((本|此|该|以上|上述|这段|这个)(图像|图片)?(描述|说明|标题)[^。！？]{0,20}(详细|准确|全面|完整|精确))",
  };
  return patterns;
}

class SelfPraiseTerm : public TermOf<SelfPraiseTerm, CaptionTerm> {
 public:
  std::string_view name() const override { return "self_praise"; }
  std::string_view doc() const override {
    return "from 0 down to -1: minus the number of sentences that praise the caption itself, over "
           "worst_sentences";
  }
  void term_fields(ConfigVisitor& v) override {
    v.field("patterns", patterns_,
            "regular expressions (ICU), case ignored, that such a sentence matches; empty: the "
            "built-in ones");
    v.field("worst_sentences", worst_sentences_, "so many give -1", Range{1, 1e6});
  }
  void validate() const override { compile(); }
  void open(const TermContext&) override {
    compiled_ = std::make_shared<const std::vector<TextPattern>>(compile());
  }
  std::optional<double> value(const CaptionToScore& caption, const CaptionReward&) const override {
    int64_t praising = 0;
    for (const std::string& sentence : split_sentences(caption.text))
      praising += std::any_of(compiled_->begin(), compiled_->end(),
                              [&](const TextPattern& p) { return p.found_in(sentence); });
    return 0 - std::min(1.0, static_cast<double>(praising) / static_cast<double>(worst_sentences_));
  }

 private:
  std::vector<TextPattern> compile() const {
    std::vector<TextPattern> compiled;
    for (const std::string& pattern : patterns_.empty() ? known_praise() : patterns_)
      compiled.emplace_back(pattern, "config: 'reward.self_praise.patterns'");
    return compiled;
  }

  std::vector<std::string> patterns_;
  int64_t worst_sentences_ = 3;
  std::shared_ptr<const std::vector<TextPattern>> compiled_;
};

}  // namespace

std::unique_ptr<RewardTerm> make_self_praise_term() { return std::make_unique<SelfPraiseTerm>(); }

}  // namespace caprl
