#include "tasks/qa/asked_model.h"

#include "caprl/core/error.h"

namespace caprl {

AskedModel::AskedModel(const QaModelConfig& config, const std::string& section,
                       int64_t max_prompt_length, at::Device device)
    : config_(config),
      model_(Model::load(config.model,
                         {parse_dtype(config.dtype, fmt::format("config: '{}.dtype'", section)),
                          device, TrainedParts::kNone})),
      prompts_(config.model, config.chat_template, model_->traits(), max_prompt_length) {
  if (!model_->traits().image_token_id)
    throw InputError("config: '{}.model': {}: expected a vision-language model, got {}", section,
                     config.model, model_->traits().architecture);
}

SamplingParams AskedModel::params(int64_t seed, RandomPurpose purpose) const {
  SamplingParams params;
  params.temperature = config_.temperature;
  params.top_p = config_.top_p;
  params.repetition_penalty = config_.repetition_penalty;
  params.max_new_tokens = config_.max_new_tokens;
  params.stop_ids = prompts_.chat().stop_ids();
  params.banned_ids = model_->traits().vision_token_ids;
  params.seed = static_cast<uint64_t>(seed);
  params.purpose = purpose;
  return params;
}

bool AskedModel::fits(size_t num_tokens) const {
  const int64_t context = model_->traits().max_positions;
  return context == 0 || static_cast<int64_t>(num_tokens) + config_.max_new_tokens <= context;
}

std::vector<ChatMessage> qa_messages(const std::string& system, bool with_image,
                                     const std::string& text) {
  std::vector<ChatMessage> messages;
  if (!system.empty()) messages.push_back({"system", {{ChatPart::Kind::kText, system}}});
  messages.push_back({"user", {}});
  if (with_image) messages.back().content.push_back({ChatPart::Kind::kImage, {}});
  messages.back().content.push_back({ChatPart::Kind::kText, text});
  return messages;
}

}  // namespace caprl
