#include "caprl/core/error.h"
#include "caprl/train/config.h"

namespace caprl {

void PolicyConfig::fields(ConfigVisitor& v) {
  v.field("model", model, "Hugging Face directory of the model that is trained");
  v.field("dtype", dtype,
          "float32, bfloat16 or float64 weights; bfloat16 is trained with float32 master weights");
  v.field("chat_template", chat_template,
          "Jinja file in place of the model directory's chat template");
  v.choice("train", train,
           {{"all", TrainedParts::kAll},
            {"language", TrainedParts::kLanguage},
            {"language+merger", TrainedParts::kLanguageAndMerger},
            {"merger", TrainedParts::kMerger}},
           "which parts of the model are trained; the others are frozen. merger: what leads from "
           "the vision tower to the decoder (the projector)");
  lora.fields(v);
}

void PolicyConfig::validate() const {
  parse_dtype(dtype, "config: 'policy.dtype'");
  lora.validate();
  if (is_adapter(model))
    throw InputError(
        "config: 'policy.model': {} holds an adapter; training needs whole weights: merge it by "
        "`caprl export`",
        model);
}

ModelOptions PolicyConfig::options(at::Device device, int64_t seed,
                                   ops::Recompute recompute) const {
  ModelOptions options;
  options.dtype = parse_dtype(dtype, "config: 'policy.dtype'");
  options.device = device;
  options.train = train;
  options.recompute = recompute;
  options.lora = lora;
  options.seed = static_cast<uint64_t>(seed);
  return options;
}

}  // namespace caprl
