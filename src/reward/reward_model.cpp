#include <optional>
#include <unordered_map>

#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "caprl/reward/reward.h"
#include "caption_reward.h"
#include "draw.h"

namespace caprl {
namespace {

void check_abstain_label(const std::string& label) {
  const bool is_letter = label.size() == 1 && label[0] >= 'A' && label[0] <= 'I';
  if (!label.empty() && !is_letter)
    throw InputError("config: 'reward.abstain_label': expected a letter from A to I, got '{}'",
                     label);
}

/// The most tokens that the model was made for, if its config tells.
std::optional<int64_t> context_length(const std::filesystem::path& model_dir) {
  const nlohmann::json config = read_json(model_dir / "config.json");
  const char* key = "max_position_embeddings";
  for (const nlohmann::json& part : {config, config.value("text_config", nlohmann::json::object())})
    if (part.contains(key) && part[key].is_number_integer()) return part[key].get<int64_t>();
  return std::nullopt;
}

/// What is left of the context for a prompt.
int64_t max_prompt_tokens(const AnswererConfig& config) {
  const auto context = context_length(config.model);
  if (!context) return AnswerPrompt::kNoLimit;
  return *context - (config.mode == AnswerMode::kSample ? config.max_new_tokens : 0);
}

}  // namespace

CaptionReward caption_reward(const Inquiry& inquiry, const std::vector<Answer>& answers,
                             double scale) {
  CaptionReward reward;
  for (size_t i = 0; i < answers.size(); ++i) {
    const Answer& answer = answers[i];
    reward.answers.push_back({inquiry.questions[i], answer.output, answer.given, answer.valid,
                              answer.right_probability});
    reward.num_asked += answer.valid;
    reward.num_right += reward.answers.back().right();
  }
  if (reward.num_asked > 0)
    reward.value =
        scale * static_cast<double>(reward.num_right) / static_cast<double>(reward.num_asked);
  return reward;
}

struct RewardModel::Impl {
  RewardConfig config;
  uint64_t seed;
  std::unique_ptr<Model> model;
  std::unique_ptr<Answerer> answerer;

  Impl(RewardConfig given, uint64_t run_seed, at::Device device)
      : config(std::move(given)), seed(run_seed) {
    check_abstain_label(config.abstain_label);
    const AnswererConfig& settings = config.answerer;
    model =
        Model::load(settings.model, {parse_dtype(settings.dtype, "config: 'reward.answerer.dtype'"),
                                     device, TrainedParts::kNone});
    auto tokenizer = Tokenizer::load(settings.model);
    auto chat = ChatFormat::load(settings.model, tokenizer, settings.chat_template);
    AnswerPrompt prompt(settings, std::move(tokenizer), std::move(chat),
                        max_prompt_tokens(settings));
    answerer = settings.mode == AnswerMode::kSample
                   ? make_sample_answerer(*model, std::move(prompt), settings, seed)
                   : make_letter_answerer(*model, std::move(prompt), settings);
  }

  /// Equal captions with equal questions get equal answers from the deterministic mode, so they are
  /// asked once.
  bool asks_equal_captions_once() const {
    return config.answerer.mode == AnswerMode::kLetterLogits && config.same_draws_in_group;
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
    if (group.questions->empty())
      throw Error("[reward] prompt {} has no questions", group.prompt_id);
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
    for (const size_t i : indices)
      mine.push_back(caption_reward(inquiries[i], answers[i], impl_->config.scale));
  }
  return rewards;
}

}  // namespace caprl
