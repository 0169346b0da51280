#include "text_model.h"

#include <ATen/ATen.h>

#include "layer_shards.h"

namespace caprl {

Architecture describe_decoder(const DecoderConfig& text) {
  Architecture architecture;
  architecture.traits = {.architecture = {},
                         .vocab_size = text.vocab_size,
                         .hidden_size = text.hidden_size,
                         .num_layers = text.num_layers,
                         .num_heads = text.num_heads,
                         .num_kv_heads = text.num_kv_heads,
                         .head_dim = text.head_dim,
                         .max_positions = text.max_positions,
                         .eos_ids = text.eos_ids,
                         .image_token_id = std::nullopt,
                         .vision_token_ids = {}};
  architecture.initializer_range = text.initializer_range;
  return architecture;
}

Architecture describe_text_model(const ConfigReader& config, const DecoderConfig& text) {
  Architecture architecture = describe_decoder(text);
  architecture.specs = decoder_specs(text);
  if (config.has("tie_word_embeddings"))
    architecture.tied = config.boolean_or("tie_word_embeddings", false);
  architecture.trains = [](TrainedParts parts, const std::string&) {
    return parts != TrainedParts::kNone && parts != TrainedParts::kMerger;
  };
  architecture.build = [text](const ModelTraits& traits, Parameters parameters) {
    return std::make_unique<TextModel>(traits, text, std::move(parameters));
  };
  return architecture;
}

TextModel::TextModel(ModelTraits traits, const DecoderConfig& config, Parameters parameters)
    : traits_(std::move(traits)),
      parameters_(std::move(parameters)),
      decoder_(config, parameters_),
      head_VH_(parameters_.get(parameters_.contains(kHeadName) ? kHeadName : kEmbeddingName)) {}

at::Tensor Model::head_gradient() const {
  return parameters().gradient(parameters().contains(kHeadName) ? kHeadName : kEmbeddingName);
}

void Model::join_other_passes() const {
  if (LayerShards* layers = parameters().sharded_layers()) layers->join_others();
}

Embeddings TextModel::embed(const BranchedBatch& batch) const {
  if (!batch.grids.empty())
    throw Error("[embed] {} images were given to a text-only model", batch.grids.size());
  return decoder_.embed(batch.ids);
}

at::Tensor TextModel::decode(const Embeddings& embeddings, const at::Tensor& positions,
                             Attention& attention) const {
  return decoder_.forward(embeddings, positions, attention);
}

Model::Positions TextModel::positions(const Prompt& prompt) const {
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
