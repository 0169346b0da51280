#include "vl_model.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace caprl {
namespace {

bool trains(TrainedParts parts, const std::string& name) {
  const ModelPart part = part_of(name);
  switch (parts) {
    case TrainedParts::kNone:
      return false;
    case TrainedParts::kAll:
      return true;
    case TrainedParts::kLanguage:
      return part == ModelPart::kLanguage;
    case TrainedParts::kLanguageAndMerger:
      return part != ModelPart::kVision;
    case TrainedParts::kMerger:
      return part == ModelPart::kMerger;
  }
  return false;
}

/// True wherever it is said to be: releases of transformers have written the key in one place, the
/// other, or both.
std::optional<bool> read_tied(const ConfigReader& config, const ConfigReader& text) {
  constexpr const char* kKey = "tie_word_embeddings";
  if (!config.has(kKey) && !text.has(kKey)) return std::nullopt;
  return config.boolean_or(kKey, false) || text.boolean_or(kKey, false);
}

}  // namespace

ModelPart part_of(std::string_view parameter) {
  if (!parameter.starts_with("visual.")) return ModelPart::kLanguage;
  const bool merger = parameter.starts_with("visual.merger.") ||
                      parameter.starts_with("visual.deepstack_merger_list.");
  return merger ? ModelPart::kMerger : ModelPart::kVision;
}

VisionTokens read_qwen_vision_tokens(const ConfigReader& config) {
  const int64_t image = config.id_or("image_token_id", 151655);
  return {.image = image,
          .image_text = "<|image_pad|>",
          .never_sampled = {config.id_or("vision_start_token_id", 151652),
                            config.id_or("vision_end_token_id", 151653),
                            config.id_or("vision_token_id", 151654), image,
                            config.id_or("video_token_id", 151656)}};
}

ConfigReader text_section(const ConfigReader& config) {
  return config.section("text_config").value_or(config);
}

ConfigReader vision_section(const ConfigReader& config) {
  const auto vision = config.section("vision_config");
  if (!vision) config.fail("vision_config", "is missing");
  return *vision;
}

Architecture describe_vl_model(const ConfigReader& config, const ConfigReader& text_reader,
                               const DecoderConfig& text, VisionPart vision,
                               const VisionTokens& tokens) {
  if (vision.out_size != text.hidden_size)
    config.fail("vision_config.out_hidden_size", "{} contradicts the text model's hidden_size {}",
                vision.out_size, text.hidden_size);
  Architecture architecture = describe_decoder(text);
  const int64_t vocab_size = architecture.traits.vocab_size;
  if (tokens.image && *tokens.image >= vocab_size)
    config.fail("image_token_id", "{} is outside the vocabulary of {}", *tokens.image, vocab_size);
  architecture.traits.image_token_id = tokens.image;
  architecture.image_token = tokens.image_text;
  for (const int64_t id : tokens.never_sampled)
    if (id < vocab_size) architecture.traits.vision_token_ids.push_back(id);
  architecture.traits.merge_size = vision.merge_size;
  architecture.specs = vision.specs;
  const auto decoder = decoder_specs(text);
  architecture.specs.insert(architecture.specs.end(), decoder.begin(), decoder.end());
  architecture.tied = read_tied(config, text_reader);
  architecture.renamed_prefixes = {{"model.visual.", "visual."},
                                   {"model.language_model.", "model."}};
  architecture.trains = trains;
  architecture.build = [text, vision = std::move(vision)](const ModelTraits& traits,
                                                          Parameters parameters) {
    return std::make_unique<VlModel>(traits, text, vision, std::move(parameters));
  };
  return architecture;
}

VlModel::VlModel(ModelTraits traits, const DecoderConfig& text, const VisionPart& vision,
                 Parameters parameters)
    : TextModel(std::move(traits), text, std::move(parameters)),
      multimodal_positions_(!text.rope.mrope_section.empty()),
      tower_(vision.build(parameters_)) {}

void VlModel::set_recompute(ops::Recompute recompute) {
  TextModel::set_recompute(recompute);
  tower_->set_recompute(recompute);
}

Embeddings VlModel::embed(const BranchedBatch& batch) const {
  const at::Tensor embeddings = decoder_.embed(batch.ids, *traits_.image_token_id);
  const int64_t tokens = batch.image_places.defined() ? batch.image_places.numel() : 0;
  if (batch.grids.empty()) {
    if (tokens > 0) throw Error("[embed] {} image tokens, but no image", tokens);
    return embeddings;
  }
  ImageFeatures images = tower_->forward(batch.pixel_values, batch.grids);
  if (tokens != images.features.size(0))
    throw Error("[embed] {} image tokens do not match {} image features", tokens,
                images.features.size(0));
  Embeddings result = embeddings.index_copy(0, batch.image_places, images.features);
  if (!images.deep.empty()) {
    result.image_places = batch.image_places;
    result.deep_features = std::move(images.deep);
  }
  return result;
}

Model::Positions VlModel::positions(const Prompt& prompt) const {
  Positions result;
  auto image = prompt.images.begin();
  const auto& ids = prompt.ids;
  for (size_t i = 0; i < ids.size();) {
    if (ids[i] != *traits_.image_token_id) {
      result.tokens.push_back({result.next, result.next, result.next});
      ++result.next;
      ++i;
      continue;
    }
    if (image == prompt.images.end())
      throw InputError("the prompt has more image tokens than its {} images need",
                       prompt.images.size());
    if (multimodal_positions_ && (*image)->grid_t != 1)
      throw InputError("an image of the prompt has {} frames; expected 1", (*image)->grid_t);
    const int64_t rows = (*image)->grid_h / traits_.merge_size;
    const int64_t columns = (*image)->grid_w / traits_.merge_size;
    const int64_t tokens = (*image)->grid_t * rows * columns;
    for (int64_t place = 0; place < tokens; ++place, ++i) {
      if (i >= ids.size() || ids[i] != *traits_.image_token_id)
        throw InputError("image {} of the prompt needs {} image tokens, got {}",
                         image - prompt.images.begin() + 1, tokens, place);
      if (multimodal_positions_)
        result.tokens.push_back(
            {result.next, result.next + place / columns, result.next + place % columns});
      else
        result.tokens.push_back({result.next + place, result.next + place, result.next + place});
    }
    result.next += multimodal_positions_ ? std::max(rows, columns) : tokens;
    ++image;
  }
  if (image != prompt.images.end())
    throw InputError("the prompt has image tokens for {} of its {} images",
                     image - prompt.images.begin(), prompt.images.size());
  return result;
}

}  // namespace caprl
