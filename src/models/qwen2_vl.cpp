#include "qwen2_vl.h"

#include "qwen_vision.h"

namespace caprl {
namespace {

QwenVisionConfig read_vision(const ConfigReader& vision) {
  QwenVisionConfig config;
  config.block.hidden_size = vision.positive_or("embed_dim", 1280, kMaxWidth);
  config.out_size = vision.positive_or("hidden_size", 3584, kMaxWidth);
  const double ratio = vision.positive_number_or("mlp_ratio", 4.0);
  config.block.intermediate_size =
      static_cast<int64_t>(static_cast<double>(config.block.hidden_size) * ratio);
  config.block.activation = read_activation(vision, "hidden_act", Activation::kQuickGelu);
  config.merger = {.prefix = "visual.merger.", .norm = "ln_q", .fc1 = "mlp.0", .fc2 = "mlp.2"};
  read_qwen_vision(vision, 32, 14, config);
  return config;
}

}  // namespace

Architecture describe_qwen2_vl(const ConfigReader& config) {
  const ConfigReader text_reader = text_section(config);
  DecoderConfig text = read_decoder_config(
      text_reader,
      {.rms_norm_eps = 1e-5, .rope = {.theta = 1'000'000.0, .mrope_section = {16, 24, 24}}});
  text.qkv_bias = true;
  return describe_vl_model(config, text_reader, text,
                           describe_qwen_vision(read_vision(vision_section(config))),
                           read_qwen_vision_tokens(config));
}

}  // namespace caprl
