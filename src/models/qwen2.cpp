#include "qwen2.h"

#include <ATen/ATen.h>

namespace caprl {

Architecture describe_qwen2_decoder(const Qwen2Config& text) {
  Architecture architecture;
  architecture.traits = {.architecture = {},
                         .vocab_size = text.vocab_size,
                         .hidden_size = text.hidden_size,
                         .num_layers = text.num_layers,
                         .num_heads = text.num_heads,
                         .num_kv_heads = text.num_kv_heads,
                         .head_dim = text.head_dim,
                         .eos_ids = text.eos_ids,
                         .image_token_id = std::nullopt,
                         .vision_token_ids = {}};
  architecture.initializer_range = text.initializer_range;
  return architecture;
}

Architecture describe_qwen2(const ConfigReader& config) {
  const Qwen2Config text = read_qwen2_config(
      config, {.rms_norm_eps = 1e-6, .rope_theta = 10'000.0, .mrope_section = {}});
  Architecture architecture = describe_qwen2_decoder(text);
  architecture.specs = qwen2_decoder_specs(text);
  if (config.has("tie_word_embeddings"))
    architecture.tied = config.boolean_or("tie_word_embeddings", false);
  architecture.trains = [](TrainedParts parts, const std::string&) {
    return parts != TrainedParts::kNone;
  };
  architecture.build = [text](const ModelTraits& traits, Parameters parameters) {
    return std::make_unique<Qwen2Model>(traits, text, std::move(parameters));
  };
  return architecture;
}

Qwen2Model::Qwen2Model(ModelTraits traits, const Qwen2Config& config, Parameters parameters)
    : traits_(std::move(traits)),
      parameters_(std::move(parameters)),
      decoder_(config, parameters_),
      head_VH_(parameters_.get(parameters_.contains(kHeadName) ? kHeadName : kEmbeddingName)) {}

at::Tensor Qwen2Model::embed(const BranchedBatch& batch) const {
  if (!batch.grids.empty())
    throw Error("[embed] {} images were given to a text-only model", batch.grids.size());
  return decoder_.embed(batch.ids);
}

at::Tensor Qwen2Model::decode(const at::Tensor& embeddings, const at::Tensor& positions,
                              Attention& attention) const {
  return decoder_.forward(embeddings, positions, attention);
}

Model::Positions Qwen2Model::positions(const Prompt& prompt) const {
  if (!prompt.images.empty())
    throw InputError("{} images were given to a text-only model", prompt.images.size());
  Positions result;
  for (size_t i = 0; i < prompt.ids.size(); ++i) {
    const auto place = static_cast<int64_t>(i);
    result.tokens.push_back({place, place, place});
  }
  result.next = static_cast<int64_t>(prompt.ids.size());
  return result;
}

}  // namespace caprl
