#include <ATen/core/grad_mode.h>
#include <algorithm>
#include <cmath>

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

class LetterAnswerer : public Answerer {
 public:
  LetterAnswerer(const Model& model, AnswerPrompt prompt, const AnswererConfig& config)
      : model_(model),
        prompt_(std::move(prompt)),
        letters_(prompt_.tokenizer()),
        micro_tokens_(config.micro_tokens) {
    const at::Tensor& head = model_.head_weight();
    const at::Tensor ids = at::tensor(letters_.ids(), at::kLong).to(head.device());
    letter_head_HL_ = head.detach().index_select(0, ids).to(at::kFloat).t();
  }

  std::vector<std::vector<Answer>> answer(std::span<const Inquiry> inquiries,
                                          uint64_t) const override {
    at::NoGradGuard no_grad;
    const auto rendered = prompt_.render(inquiries);
    std::vector<std::vector<Answer>> answers;
    for (const Inquiry& inquiry : inquiries) answers.emplace_back(inquiry.questions.size());
    std::vector<size_t> pass;  // inquiries of one forward pass
    int64_t tokens = 0;
    const auto run = [&] {
      if (!pass.empty()) answer_pass(inquiries, rendered, pass, answers);
      pass.clear();
      tokens = 0;
    };
    for (size_t i = 0; i < inquiries.size(); ++i) {
      if (rendered[i].questions.empty()) continue;
      if (tokens + rendered[i].num_tokens > micro_tokens_) run();
      pass.push_back(i);
      tokens += rendered[i].num_tokens;
    }
    run();
    return answers;
  }

 private:
  void answer_pass(std::span<const Inquiry> inquiries, std::span<const RenderedInquiry> rendered,
                   std::span<const size_t> pass, std::vector<std::vector<Answer>>& answers) const {
    std::vector<BranchedSequence> trees;
    for (const size_t i : pass) trees.push_back(rendered[i].sequence);
    const at::Tensor logits_BL = letter_logits(pack(trees, model_));
    const auto num_tokens = static_cast<size_t>(logits_BL.size(1));
    const float* row = logits_BL.const_data_ptr<float>();
    for (const size_t i : pass)
      for (const size_t question : rendered[i].questions) {
        answers[i][question] =
            choose(inquiries[i].questions[question], letters_, {row, num_tokens});
        row += num_tokens;
      }
  }

  /// [branches, letter tokens] after the last token of each branch, on the CPU.
  at::Tensor letter_logits(const BranchedBatch& batch) const {
    BranchedAttention attention(batch.layout, batch.ids.device());
    const at::Tensor hidden = model_.decode(model_.embed(batch), batch.positions, attention);
    std::vector<int64_t> last;
    for (const auto& tree : batch.layout.trees) {
      int64_t end = tree.begin + tree.prefix;
      for (const int64_t length : tree.branch_lengths) last.push_back((end += length) - 1);
    }
    const at::Tensor rows = at::tensor(last, at::kLong).to(hidden.device());
    return at::mm(hidden.index_select(0, rows).to(at::kFloat), letter_head_HL_).cpu().contiguous();
  }

  const Model& model_;
  AnswerPrompt prompt_;
  LetterTokens letters_;
  int64_t micro_tokens_;
  at::Tensor letter_head_HL_;  // of the letters' tokens alone
};

}  // namespace

std::unique_ptr<Answerer> make_letter_answerer(const Model& model, AnswerPrompt prompt,
                                               const AnswererConfig& config) {
  return std::make_unique<LetterAnswerer>(model, std::move(prompt), config);
}

}  // namespace caprl
