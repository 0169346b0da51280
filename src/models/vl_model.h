// A decoder that reads image features in the places of image tokens.
#pragma once
#include "text_model.h"
#include "vision_tower.h"

namespace caprl {

struct VisionTokens {
  std::optional<int64_t> image;        // absent: the tokenizer's files tell
  std::string image_text;              // "<|image_pad|>"
  std::vector<int64_t> never_sampled;  // those outside the vocabulary do not count
};
VisionTokens read_qwen_vision_tokens(const ConfigReader& config);

/// `text` is described by `text_reader`, a part of `config` or `config` itself;
/// tie_word_embeddings counts wherever it is true.
Architecture describe_vl_model(const ConfigReader& config, const ConfigReader& text_reader,
                               const DecoderConfig& text, VisionPart vision,
                               const VisionTokens& tokens);

/// Decoder keys stand in text_config or, in older files, at the root.
ConfigReader text_section(const ConfigReader& config);
/// InputError if vision_config is missing.
ConfigReader vision_section(const ConfigReader& config);

class VlModel : public TextModel {
 public:
  VlModel(ModelTraits traits, const DecoderConfig& text, const VisionPart& vision,
          Parameters parameters);

  Embeddings embed(const BranchedBatch& batch) const override;
  /// With multimodal rotary positions the published rope index: an image starts at the next
  /// position and advances it by its longer side. Without, one after the other.
  Positions positions(const Prompt& prompt) const override;
  void set_recompute(ops::Recompute recompute) override;

 private:
  bool multimodal_positions_;
  std::unique_ptr<VisionTower> tower_;
};

}  // namespace caprl
