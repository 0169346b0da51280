#include "qwen3.h"

namespace caprl {

DecoderConfig read_qwen3_decoder(const ConfigReader& text, const RopeDefaults& rope) {
  DecoderConfig config = read_decoder_config(text, {.rope = rope, .head_dim = 128});
  config.qk_norm = true;
  config.qkv_bias = config.output_bias = text.boolean_or("attention_bias", false);
  return config;
}

Architecture describe_qwen3(const ConfigReader& config) {
  return describe_text_model(config, read_qwen3_decoder(config, {}));
}

}  // namespace caprl
