#include <algorithm>
#include <cmath>

#include "caprl/core/error.h"
#include "caprl/generation/generator.h"
#include "caprl/generation/prompts.h"
#include "caprl/generation/shared_prefix.h"
#include "reward/terms/judge_prompt.h"
#include "reward/terms/terms.h"

namespace caprl {
namespace {

enum class JudgeMode { kSample, kDigitLogits };

/// The model and what it is asked, once loaded.
struct Judge {
  std::unique_ptr<Model> model;
  std::unique_ptr<PromptBuilder> prompts;
  std::vector<int64_t> digits;  // tokens of "1" … "5"
  uint64_t seed = 0;
};

/// The baseline that CapRL is compared with: a vision-language model sees image and caption and
/// gives an absolute score from 1 to 5.
class JudgeTerm : public TermOf<JudgeTerm, RewardTerm> {
 public:
  std::string_view name() const override { return "judge"; }
  std::string_view doc() const override {
    return "0 to 1: (score - 1) / 4, the score from 1 to 5 that a vision-language model gives the "
           "caption when it sees the image";
  }
  bool needs_more_than_text() const override { return true; }
  void term_fields(ConfigVisitor& v) override {
    v.field("model", model_, "Hugging Face directory of the judge");
    v.field("dtype", dtype_, "float32, bfloat16 or float64");
    v.field("chat_template", chat_template_,
            "Jinja file in place of the model directory's chat template");
    v.choice(
        "variant", variant_,
        {{"overall_score", JudgeVariant::kOverallScore}, {"bare", JudgeVariant::kBareNumber}},
        "what is asked for: a judgement that ends with 'Overall Score (1-5): X', or the number "
        "alone");
    v.field("prompt", prompt_, "text with {caption}; empty: the variant's built-in prompt");
    v.choice("mode", mode_,
             {{"sample", JudgeMode::kSample}, {"digit_logits", JudgeMode::kDigitLogits}},
             "sample: generate the judgement and read its score; digit_logits: the mean of 1 to 5 "
             "under the probabilities of the first token");
    v.field("temperature", temperature_, "of mode sample; 0: greedy", Range{0, 100});
    v.field("max_new_tokens", max_new_tokens_, "of mode sample", Range{1, 1e6});
    v.field("max_prompt_length", max_prompt_length_,
            "longest prompt in tokens, image tokens included; a caption with a longer one has no "
            "score",
            Range{1, 1e9});
    limits_.fields(v);
  }
  void validate() const override {
    if (model_.empty()) throw InputError("config: 'reward.judge.model' must be set");
    if (!prompt_.empty() && prompt_.find(kJudgedCaption) == std::string::npos)
      throw InputError("config: 'reward.judge.prompt': expected the placeholder {}, got none",
                       kJudgedCaption);
    parse_dtype(dtype_, "config: 'reward.judge.dtype'");
  }
  void open(const TermContext& context) override;
  std::optional<TermModel> model() const override {
    return TermModel{model_, dtype_, mode_ == JudgeMode::kSample ? max_new_tokens_ : 1, limits_};
  }
  TermValues score(std::span<const GroupToScore> groups, const GroupScores&,
                   uint64_t step) const override;

 private:
  GenerationRequest request(const GroupToScore& group, std::vector<size_t>& captions) const;
  SamplingParams params(uint64_t step) const;
  std::optional<double> read(const GeneratedSequence& sequence) const;

  std::string model_, dtype_ = "bfloat16", chat_template_, prompt_;
  JudgeVariant variant_ = JudgeVariant::kOverallScore;
  JudgeMode mode_ = JudgeMode::kSample;
  double temperature_ = 0;
  int64_t max_new_tokens_ = 256, max_prompt_length_ = 8192;
  GenerationLimits limits_;
  std::shared_ptr<const Judge> judge_;
};

void JudgeTerm::open(const TermContext& context) {
  auto judge = std::make_shared<Judge>();
  judge->seed = context.seed;
  judge->model = Model::load(model_, {parse_dtype(dtype_, "config: 'reward.judge.dtype'"),
                                      context.device, TrainedParts::kNone});
  if (!judge->model->traits().image_token_id)
    throw InputError("config: 'reward.judge.model': expected a vision-language model, got {}",
                     judge->model->traits().architecture);
  judge->prompts = std::make_unique<PromptBuilder>(model_, chat_template_, judge->model->traits(),
                                                   max_prompt_length_);
  for (char digit = '1'; digit <= '5'; ++digit) {
    const auto ids = judge->prompts->tokenizer().encode(std::string(1, digit), false);
    if (ids.size() == 1) judge->digits.push_back(ids[0]);
  }
  if (mode_ == JudgeMode::kDigitLogits && judge->digits.size() != 5)
    throw InputError(
        "config: 'reward.judge.mode': digit_logits needs a token for each digit from 1 to 5, and "
        "the tokenizer of 'reward.judge.model' has them for {}",
        judge->digits.size());
  judge_ = std::move(judge);
}

/// The image is read once for all captions of the group. `captions`: which of them fit.
GenerationRequest JudgeTerm::request(const GroupToScore& group,
                                     std::vector<size_t>& captions) const {
  if (group.image == nullptr)
    throw Error("[judge] prompt {} comes without an image", group.prompt_id);
  const auto patches = judge_->prompts->load(*group.image);
  GenerationRequest request;
  request.prompt_id = group.prompt_id;
  std::vector<std::vector<int64_t>> prompts;
  for (size_t i = 0; i < group.captions.size(); ++i) {
    const auto messages = judge_messages(prompt_, variant_, group.captions[i].text);
    Prompt prompt = judge_->prompts->expand(messages, {patches}, group.image->name);
    if (std::ssize(prompt.ids) > max_prompt_length_) continue;
    prompts.push_back(std::move(prompt.ids));
    request.prompt.images = std::move(prompt.images);
    captions.push_back(i);
  }
  if (prompts.empty()) return request;
  const int64_t shared = shared_length(prompts);
  request.prompt.ids.assign(prompts[0].begin(), prompts[0].begin() + shared);
  for (const auto& prompt : prompts)
    request.suffixes.emplace_back(prompt.begin() + shared, prompt.end());
  return request;
}

SamplingParams JudgeTerm::params(uint64_t step) const {
  SamplingParams params;
  params.seed = judge_->seed;
  params.step = step;
  params.purpose = RandomPurpose::kAnswerSampling;
  params.banned_ids = judge_->model->traits().vision_token_ids;
  params.stop_ids = judge_->prompts->chat().stop_ids();
  params.temperature = mode_ == JudgeMode::kSample ? temperature_ : 0;
  params.max_new_tokens = mode_ == JudgeMode::kSample ? max_new_tokens_ : 1;
  if (mode_ == JudgeMode::kDigitLogits) params.scored_ids = judge_->digits;
  return params;
}

std::optional<double> JudgeTerm::read(const GeneratedSequence& sequence) const {
  if (mode_ == JudgeMode::kSample) {
    const auto score = parse_judgement(variant_, judge_->prompts->text(sequence.ids));
    return score ? std::optional((*score - 1) / 4) : std::nullopt;
  }
  const std::vector<float>& logits = sequence.scored_logits.at(0);
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0, weighted = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double weight = std::exp(logits[i] - highest);
    sum += weight;
    weighted += weight * static_cast<double>(i) / 4;
  }
  return weighted / sum;
}

TermValues JudgeTerm::score(std::span<const GroupToScore> groups, const GroupScores&,
                            uint64_t step) const {
  std::vector<GenerationRequest> requests;
  std::vector<std::vector<size_t>> captions(groups.size());
  TermValues values;
  for (size_t g = 0; g < groups.size(); ++g) {
    requests.push_back(request(groups[g], captions[g]));
    values.emplace_back(groups[g].captions.size());
  }
  const auto sequences = generate(*judge_->model, requests, params(step), limits_);
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t i = 0; i < sequences[g].size(); ++i)
      values[g][captions[g][i]] = read(sequences[g][i]);
  return values;
}

}  // namespace

std::unique_ptr<RewardTerm> make_judge_term() { return std::make_unique<JudgeTerm>(); }

}  // namespace caprl
