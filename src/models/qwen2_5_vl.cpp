#include "qwen2_5_vl.h"

#include "qwen2_5_vision.h"

namespace caprl {

Architecture describe_qwen2_5_vl(const ConfigReader& config) {
  const ConfigReader text_reader = text_section(config);
  DecoderConfig text = read_decoder_config(
      text_reader,
      {.rms_norm_eps = 1e-5, .rope = {.theta = 1'000'000.0, .mrope_section = {16, 24, 24}}});
  text.qkv_bias = true;
  const Qwen25VisionConfig vision = read_qwen2_5_vision_config(vision_section(config));
  return describe_vl_model(config, text_reader, text,
                           {.specs = qwen2_5_vision_specs(vision),
                            .out_size = vision.out_size,
                            .merge_size = vision.merge_size,
                            .build =
                                [vision](const Parameters& parameters) {
                                  return std::make_unique<Qwen25VisionTower>(vision, parameters);
                                }},
                           read_qwen_vision_tokens(config));
}

}  // namespace caprl
