// Qwen2_5_VLForConditionalGeneration: Qwen2.5-VL, and with it CapRL-3B.
#pragma once
#include "qwen2.h"
#include "qwen2_5_vision.h"

namespace caprl {

Architecture describe_qwen2_5_vl(const ConfigReader& config);

class Qwen25VlModel : public Qwen2Model {
 public:
  Qwen25VlModel(ModelTraits traits, const Qwen2Config& text, const Qwen25VisionConfig& vision,
                Parameters parameters);

  at::Tensor embed(const BranchedBatch& batch) const override;
  Positions positions(const Prompt& prompt) const override;

 private:
  Qwen25VisionTower tower_;
};

}  // namespace caprl
