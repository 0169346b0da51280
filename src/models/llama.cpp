#include "llama.h"

namespace caprl {

Architecture describe_llama(const ConfigReader& config) {
  DecoderConfig text = read_decoder_config(config, {});
  text.qkv_bias = text.output_bias = config.boolean_or("attention_bias", false);
  if (config.boolean_or("mlp_bias", false))
    config.fail("mlp_bias", "is true; only false is supported");
  return describe_text_model(config, text);
}

}  // namespace caprl
