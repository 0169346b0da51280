#include "question_reward.h"

#include <optional>
#include <unordered_map>

#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "caption_reward.h"
#include "draw.h"

namespace caprl {
namespace {

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
  return *context - (config.mode == AnswerMode::kSample ? config.max_new_tokens : 1);
}

}  // namespace

QuestionReward::QuestionReward(const RewardConfig& config, uint64_t seed, at::Device device,
                               const Group& ranks)
    : config_(config), seed_(seed) {
  const AnswererConfig& settings = config.answerer;
  if (settings.model.empty()) {
    answerer_ = make_remote_answerer(settings.servers, seed);
    return;
  }
  model_ =
      Model::load(settings.model, {parse_dtype(settings.dtype, "config: 'reward.answerer.dtype'"),
                                   device,
                                   TrainedParts::kNone,
                                   {&ranks, settings.shard_layers}});
  auto tokenizer = Tokenizer::load(settings.model);
  auto chat = ChatFormat::load(settings.model, tokenizer, settings.chat_template);
  AnswerPrompt prompt(settings, std::move(tokenizer), std::move(chat), max_prompt_tokens(settings));
  answerer_ = settings.mode == AnswerMode::kSample
                  ? make_sample_answerer(*model_, std::move(prompt), settings)
                  : make_letter_answerer(*model_, std::move(prompt), settings);
}

bool QuestionReward::asks_equal_captions_once() const {
  return config_.answerer.mode == AnswerMode::kLetterLogits && config_.same_draws_in_group;
}

GroupScores QuestionReward::score(std::span<const GroupToScore> groups, uint64_t step) const {
  std::vector<Inquiry> inquiries;
  std::vector<std::vector<size_t>> inquiry_of;  // [groups][captions]
  for (const GroupToScore& group : groups) {
    if (group.questions == nullptr || group.questions->empty())
      throw Error("[reward] prompt {} has no questions", group.prompt_id);
    std::unordered_map<std::string, size_t> known;
    auto& mine = inquiry_of.emplace_back();
    for (size_t i = 0; i < group.captions.size(); ++i) {
      const std::string& caption = group.captions[i].text;
      const auto [entry, is_new] = known.try_emplace(caption, inquiries.size());
      if (!is_new && asks_equal_captions_once()) {
        mine.push_back(entry->second);
        continue;
      }
      const uint64_t sample = config_.same_draws_in_group ? 0 : i;
      mine.push_back(inquiries.size());
      inquiries.push_back(
          {caption,
           draw_questions(*group.questions, config_, {seed_, step, group.prompt_id, sample}),
           group.prompt_id,
           i,
           {seed_, step}});
    }
  }
  const auto answers = answerer_->answer(inquiries);
  GroupScores scores;
  for (const auto& indices : inquiry_of) {
    auto& mine = scores.emplace_back();
    for (const size_t i : indices)
      mine.push_back(caption_reward(inquiries[i], answers[i], config_.answerer.credit));
  }
  return scores;
}

}  // namespace caprl
