#include <algorithm>
#include <cmath>
#include <limits>

#include "answerer.h"
#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr int kNumLetters = 9;  // A … I

/// The tokens that spell each letter: "B" and " B", those of them that are one token.
class LetterTokens {
 public:
  explicit LetterTokens(const Tokenizer& tokenizer) {
    for (int letter = 0; letter < kNumLetters; ++letter) {
      const std::string name(1, static_cast<char>('A' + letter));
      const auto begin = ids_.size();
      for (const std::string& text : {name, " " + name}) {
        const auto ids = tokenizer.encode(text, false);
        if (ids.size() == 1) ids_.push_back(ids.front());
      }
      if (ids_.size() == begin)
        throw InputError(
            "reward.answerer.model: the tokenizer has no token for the letter {}, which "
            "reward.answerer.mode letter_logits needs",
            name);
      begins_.push_back(begin);
    }
    begins_.push_back(ids_.size());
  }
  const std::vector<int64_t>& ids() const { return ids_; }

  /// log of the summed probabilities (unnormalised) of a letter's tokens.
  double score(const float* logits, char label) const {
    const auto letter = static_cast<size_t>(label - 'A');
    const auto begin = begins_.at(letter), end = begins_.at(letter + 1);
    const double top = *std::max_element(logits + begin, logits + end);
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += std::exp(logits[i] - top);
    return top + std::log(sum);
  }

 private:
  std::vector<int64_t> ids_;
  std::vector<size_t> begins_;
};

/// `logits` are those of the letters' tokens.
Answer choose(const AskedQuestion& question, const LetterTokens& letters, const float* logits) {
  Answer answer;
  const std::string labels = question.labels();
  std::vector<double> scores;
  for (const char label : labels) scores.push_back(letters.score(logits, label));
  const auto best = std::max_element(scores.begin(), scores.end());
  double sum = 0, right = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const double probability = std::exp(scores[i] - *best);
    sum += probability;
    if (labels[i] == question.right) right = probability;
  }
  answer.given = labels[static_cast<size_t>(best - scores.begin())];
  answer.output = std::string(1, answer.given);
  answer.right_probability = right / sum;
  return answer;
}

class LetterAnswerer : public Answerer {
 public:
  LetterAnswerer(const Model& model, AnswerPrompt prompt, const AnswererConfig& config)
      : model_(model),
        prompt_(std::move(prompt)),
        letters_(prompt_.tokenizer()),
        micro_tokens_(config.micro_tokens) {}

  std::vector<std::vector<Answer>> answer(std::span<const Inquiry> inquiries,
                                          uint64_t) const override {
    at::NoGradGuard no_grad;
    std::vector<std::vector<Answer>> answers;
    std::vector<BranchedSequence> trees;
    int64_t tokens = 0;
    size_t begin = 0;
    const auto run = [&](size_t end) {
      if (trees.empty()) return;
      answer_batch(inquiries.subspan(begin, end - begin), trees, answers);
      trees.clear();
      tokens = 0;
      begin = end;
    };
    for (size_t i = 0; i < inquiries.size(); ++i) {
      BranchedSequence tree = prompt_.build(inquiries[i]);
      auto size = static_cast<int64_t>(tree.prefix.ids.size());
      for (const auto& branch : tree.branches) size += static_cast<int64_t>(branch.size());
      if (tokens + size > micro_tokens_) run(i);
      tokens += size;
      trees.push_back(std::move(tree));
    }
    run(inquiries.size());
    return answers;
  }

 private:
  void answer_batch(std::span<const Inquiry> inquiries, std::span<const BranchedSequence> trees,
                    std::vector<std::vector<Answer>>& answers) const {
    const BranchedBatch batch = pack(trees, model_);
    BranchedAttention attention(batch.layout, batch.ids.device());
    const at::Tensor hidden = model_.decode(model_.embed(batch), batch.positions, attention);
    std::vector<int64_t> last;
    for (const auto& tree : batch.layout.trees) {
      int64_t place = tree.begin + tree.prefix;
      for (const int64_t length : tree.branch_lengths) last.push_back((place += length) - 1);
    }
    const auto device = hidden.device();
    const at::Tensor rows = hidden.index_select(0, at::tensor(last, at::kLong).to(device));
    const at::Tensor head =
        model_.head_weight().index_select(0, at::tensor(letters_.ids(), at::kLong).to(device));
    const at::Tensor logits =
        at::mm(rows.to(at::kFloat), head.to(at::kFloat).t()).cpu().contiguous();
    const float* data = logits.const_data_ptr<float>();
    for (const Inquiry& inquiry : inquiries) {
      auto& mine = answers.emplace_back();
      for (const AskedQuestion& question : inquiry.questions) {
        mine.push_back(choose(question, letters_, data));
        data += logits.size(1);
      }
    }
  }

  const Model& model_;
  AnswerPrompt prompt_;
  LetterTokens letters_;
  int64_t micro_tokens_;
};

}  // namespace

std::unique_ptr<Answerer> make_letter_answerer(const Model& model, AnswerPrompt prompt,
                                               const AnswererConfig& config) {
  return std::make_unique<LetterAnswerer>(model, std::move(prompt), config);
}

}  // namespace caprl
