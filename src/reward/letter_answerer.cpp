#include <algorithm>
#include <cmath>

#include "caprl/core/error.h"
#include "engine_answerer.h"

namespace caprl {
namespace {

constexpr int kNumLetters = 9;  // A … I

/// The tokens that spell each letter: "B" and " B", those of them that are one token.
class LetterTokens {
 public:
  explicit LetterTokens(const Tokenizer& tokenizer) {
    for (int letter = 0; letter < kNumLetters; ++letter) {
      const std::string name(1, static_cast<char>('A' + letter));
      begins_.push_back(ids_.size());
      for (const std::string& text : {name, " " + name}) {
        const auto ids = tokenizer.encode(text, false);
        if (ids.size() != 1) continue;
        const bool is_new = ids_.size() == begins_.back() || ids_.back() != ids.front();
        if (is_new) ids_.push_back(ids.front());
      }
      if (ids_.size() == begins_.back())
        throw InputError(
            "config: 'reward.answerer.mode': letter_logits needs a token for each letter from A "
            "to I, and the tokenizer of 'reward.answerer.model' has none for {}",
            name);
    }
    begins_.push_back(ids_.size());
  }
  const std::vector<int64_t>& ids() const { return ids_; }

  /// ln of the sum of the letter's tokens' probabilities, up to a constant. `logits` are those of
  /// ids().
  double score(std::span<const float> logits, char label) const {
    const auto letter = static_cast<size_t>(label - 'A');
    const auto mine = logits.subspan(begins_[letter], begins_[letter + 1] - begins_[letter]);
    const double highest = *std::max_element(mine.begin(), mine.end());
    double sum = 0;
    for (const float logit : mine) sum += std::exp(logit - highest);
    return highest + std::log(sum);
  }

 private:
  std::vector<int64_t> ids_;    // letter after letter
  std::vector<size_t> begins_;  // [kNumLetters + 1] into ids_
};

/// The likeliest of the question's labels, the first one of equals.
Answer choose(const AskedQuestion& question, const LetterTokens& letters,
              std::span<const float> logits) {
  const std::string labels = question.labels();
  std::vector<double> scores;
  for (const char label : labels) scores.push_back(letters.score(logits, label));
  const auto best = std::max_element(scores.begin(), scores.end());
  double sum = 0, right = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const double weight = std::exp(scores[i] - *best);
    sum += weight;
    if (labels[i] == question.right) right = weight;
  }
  if (!std::isfinite(sum)) throw Error("[answerer] the letters' logits are not finite");
  const char given = labels[static_cast<size_t>(best - scores.begin())];
  return {true, std::string(1, given), given, right / sum};
}

class LetterAnswerer : public EngineAnswerer {
 public:
  LetterAnswerer(const Model& model, AnswerPrompt prompt, const AnswererConfig& config)
      : EngineAnswerer(model, std::move(prompt), config), letters_(this->prompt().tokenizer()) {
    params_.temperature = 0;
    params_.max_new_tokens = 1;
    params_.scored_ids = letters_.ids();
  }

 private:
  SamplingParams params(const AnswerKey&) const override { return params_; }
  Answer read(const AskedQuestion& question, const GeneratedSequence& sequence) const override {
    return choose(question, letters_, sequence.scored_logits.at(0));
  }

  LetterTokens letters_;
  SamplingParams params_;
};

}  // namespace

std::unique_ptr<Answerer> make_letter_answerer(const Model& model, AnswerPrompt prompt,
                                               const AnswererConfig& config) {
  return std::make_unique<LetterAnswerer>(model, std::move(prompt), config);
}

}  // namespace caprl
