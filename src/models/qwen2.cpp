#include "qwen2.h"

namespace caprl {

Architecture describe_qwen2(const ConfigReader& config) {
  DecoderConfig text = read_decoder_config(config, {});
  text.qkv_bias = true;
  return describe_text_model(config, text);
}

}  // namespace caprl
