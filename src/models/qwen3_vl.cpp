#include "qwen3_vl.h"

#include <cmath>

#include "qwen3.h"
#include "qwen_vision.h"

namespace caprl {
namespace {

MergerConfig merger(std::string prefix, bool norm_after_merge) {
  return {std::move(prefix), "norm", "linear_fc1", "linear_fc2", norm_after_merge};
}

QwenVisionConfig read_vision(const ConfigReader& vision, int64_t num_layers) {
  QwenVisionConfig config;
  config.block.hidden_size = vision.positive_or("hidden_size", 1152, kMaxWidth);
  config.block.intermediate_size = vision.positive_or("intermediate_size", 4304, kMaxWidth);
  config.block.activation = read_activation(vision, "hidden_act", Activation::kGeluTanh);
  config.block.fc1 = "mlp.linear_fc1";
  config.block.fc2 = "mlp.linear_fc2";
  config.out_size = vision.positive_or("out_hidden_size", 3584, kMaxWidth);
  config.patch_bias = true;
  config.merger = merger("visual.merger.", false);
  const int64_t places = vision.positive_or("num_position_embeddings", 2304, kMaxWidth);
  config.position_side = std::llround(std::sqrt(static_cast<double>(places)));
  if (config.position_side * config.position_side != places)
    vision.fail("num_position_embeddings", "{} is no square number", places);
  read_qwen_vision(vision, 27, 16, config);
  config.deepstack_blocks = vision.integers_or("deepstack_visual_indexes", {8, 16, 24});
  for (size_t k = 0; k < config.deepstack_blocks.size(); ++k) {
    const int64_t block = config.deepstack_blocks[k];
    if (block < 0 || block >= config.depth || (k > 0 && block <= config.deepstack_blocks[k - 1]))
      vision.fail("deepstack_visual_indexes", "must rise from 0 to below depth {}, got {}",
                  config.depth, block);
    config.deepstack_mergers.push_back(
        merger(fmt::format("visual.deepstack_merger_list.{}.", k), true));
  }
  if (static_cast<int64_t>(config.deepstack_blocks.size()) > num_layers)
    vision.fail("deepstack_visual_indexes", "names {} blocks for a decoder of {} layers",
                config.deepstack_blocks.size(), num_layers);
  return config;
}

}  // namespace

Architecture describe_qwen3_vl(const ConfigReader& config) {
  const ConfigReader text_reader = text_section(config);
  const DecoderConfig text = read_qwen3_decoder(
      text_reader, {.theta = 500'000.0, .mrope_section = {24, 20, 20}, .interleaved = true});
  const QwenVisionConfig vision = read_vision(vision_section(config), text.num_layers);
  return describe_vl_model(config, text_reader, text, describe_qwen_vision(vision),
                           read_qwen_vision_tokens(config));
}

}  // namespace caprl
