#include <unordered_map>

#include "answerer.h"
#include "caprl/core/error.h"
#include "caprl/reward/reward.h"
#include "draw.h"

namespace caprl {
namespace {

at::ScalarType answerer_dtype(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  throw InputError("config: 'reward.answerer.dtype': expected float32 or bfloat16, got '{}'", name);
}

}  // namespace

void AnswererConfig::fields(ConfigVisitor& v) {
  v.field("model", model, "Hugging Face directory of the text LLM");
  v.field("dtype", dtype, "float32 or bfloat16");
  v.choice(
      "mode", mode, {{"sample", AnswerMode::kSample}, {"letter_logits", AnswerMode::kLetterLogits}},
      "sample: generate an answer, as published; letter_logits: compare the letters' probabilities "
      "in one forward pass");
  v.field("temperature", temperature, "of mode sample; 0: greedy", Range{0, 100});
  v.field("top_p", top_p, "of mode sample", Range{1e-6, 1});
  v.field("max_new_tokens", max_new_tokens, "of mode sample", Range{1, 1e6});
  v.field("micro_tokens", micro_tokens, "tokens packed into one forward pass of mode letter_logits",
          Range{1, 1e9});
  v.field("system_prompt", system_prompt, "empty: the chat template's default");
  v.field("prompt", prompt, "text with {caption} and {question}; empty: the built-in prompt");
  v.field("assistant_prefix", assistant_prefix, "what the answerer's turn begins with");
}

void RewardConfig::fields(ConfigVisitor& v) {
  v.section("answerer", answerer, "the frozen text LLM");
  v.choice("draw", draw,
           {{"with_replacement", QuestionDraw::kWithReplacement}, {"all", QuestionDraw::kAll}},
           "with_replacement: qa_num random questions per caption; all: each question once");
  v.field("qa_num", qa_num, "questions per caption with with_replacement", Range{1, 10000});
  v.field("shuffle_choices", shuffle_choices,
          "permute and relabel the options of every question asked");
  v.field("same_draws_in_group", same_draws_in_group,
          "all captions of an image get the same questions and orders");
  v.field("abstain_choice", abstain_choice,
          "text of an option that is appended and never right; empty: none");
  v.field("abstain_label", abstain_label, "its letter; empty: the next one");
  v.field("scale", scale, "reward = scale · right answers / questions asked", Range{0, 1e6});
  v.field("shuffle_rewards", shuffle_rewards,
          "control experiment: training rewards are permuted between all captions of a step");
}

struct RewardModel::Impl {
  RewardConfig config;
  uint64_t seed;
  std::unique_ptr<Model> model;
  std::unique_ptr<Answerer> answerer;

  Impl(RewardConfig given, uint64_t run_seed, at::Device device)
      : config(std::move(given)), seed(run_seed) {
    ModelOptions options;
    options.dtype = answerer_dtype(config.answerer.dtype);
    options.device = device;
    model = Model::load(config.answerer.model, options);
    auto tokenizer = Tokenizer::load(config.answerer.model);
    auto chat = ChatFormat::load(config.answerer.model, tokenizer);
    AnswerPrompt prompt(config.answerer, std::move(tokenizer), std::move(chat));
    answerer = config.answerer.mode == AnswerMode::kSample
                   ? make_sample_answerer(*model, std::move(prompt), config.answerer, seed)
                   : make_letter_answerer(*model, std::move(prompt), config.answerer);
  }

  /// Equal captions with equal questions get equal answers from the deterministic mode, so they are
  /// asked once.
  bool asks_equal_captions_once() const {
    return config.answerer.mode == AnswerMode::kLetterLogits && config.same_draws_in_group;
  }

  CaptionReward reward_of(const Inquiry& inquiry, const std::vector<Answer>& answers) const {
    CaptionReward reward;
    for (size_t i = 0; i < answers.size(); ++i) {
      AnswerRecord& record = reward.answers.emplace_back();
      record.asked = inquiry.questions[i];
      record.output = answers[i].output;
      record.given = answers[i].given;
      record.right_probability = answers[i].right_probability;
      reward.num_asked += record.valid;
      reward.num_right += record.right();
    }
    if (reward.num_asked > 0)
      reward.value = config.scale * static_cast<double>(reward.num_right) /
                     static_cast<double>(reward.num_asked);
    return reward;
  }
};

RewardModel::RewardModel(RewardConfig config, uint64_t seed, at::Device device)
    : impl_(std::make_unique<Impl>(std::move(config), seed, device)) {}
RewardModel::~RewardModel() = default;

std::vector<std::vector<CaptionReward>> RewardModel::score(std::span<const GroupToScore> groups,
                                                           uint64_t step) const {
  std::vector<Inquiry> inquiries;
  std::vector<std::vector<size_t>> inquiry_of;  // [groups][captions]
  for (const GroupToScore& group : groups) {
    std::unordered_map<std::string, size_t> known;
    auto& mine = inquiry_of.emplace_back();
    for (size_t i = 0; i < group.captions.size(); ++i) {
      const auto [entry, is_new] = known.try_emplace(group.captions[i], inquiries.size());
      if (!is_new && impl_->asks_equal_captions_once()) {
        mine.push_back(entry->second);
        continue;
      }
      const uint64_t sample = impl_->config.same_draws_in_group ? 0 : i;
      mine.push_back(inquiries.size());
      inquiries.push_back({group.captions[i],
                           draw_questions(*group.questions, impl_->config,
                                          {impl_->seed, step, group.prompt_id, sample}),
                           group.prompt_id, i});
    }
  }
  const auto answers = impl_->answerer->answer(inquiries, step);
  std::vector<std::vector<CaptionReward>> rewards;
  for (const auto& indices : inquiry_of) {
    auto& mine = rewards.emplace_back();
    for (const size_t i : indices) mine.push_back(impl_->reward_of(inquiries[i], answers[i]));
  }
  return rewards;
}

}  // namespace caprl
