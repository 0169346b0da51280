#include <cmath>

#include "caprl/core/error.h"
#include "caprl/models/lora.h"

namespace caprl {

double LoraConfig::scale() const {
  const auto r = static_cast<double>(rank);
  return alpha / (use_rslora ? std::sqrt(r) : r);
}

void LoraConfig::fields(ConfigVisitor& v) {
  v.field("lora_rank", rank,
          "rank r of low-rank adapters (LoRA), which are then trained in place of the weights; 0: "
          "none",
          Range{0, 65536});
  v.field("lora_alpha", alpha, "adapters are multiplied by lora_alpha / lora_rank", Range{0, 1e6});
  v.field("use_rslora", use_rslora, "by lora_alpha / √lora_rank instead");
  v.field("lora_dropout", dropout,
          "must be 0 (off): captions are sampled without it, and their probabilities in training "
          "would not be those they were sampled with",
          Range{0, 1});
  v.field(
      "target_modules", target_modules,
      "linear layers that have an adapter, among those that `train` covers: ends of their names "
      "(q_proj), or all-linear: all but the output head");
  v.field("exclude_modules", exclude_modules, "ends of names of layers that have none");
  v.field("modules_to_save", modules_to_save,
          "with adapters: modules that are trained whole (merger, lm_head)");
}

void LoraConfig::validate() const {
  if (!enabled()) {
    if (!modules_to_save.empty())
      throw InputError(
          "config: 'policy.modules_to_save' is for adapters, but 'policy.lora_rank' "
          "is 0");
    return;
  }
  if (dropout != 0)
    throw InputError(
        "config: 'policy.lora_dropout' is {}; expected 0: captions are sampled without dropout, "
        "and their probabilities in training would not be those they were sampled with",
        dropout);
  if (alpha == 0)
    throw InputError("config: 'policy.lora_alpha' is 0; expected more: adapters would do nothing");
}

}  // namespace caprl
