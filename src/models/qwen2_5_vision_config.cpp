#include <algorithm>

#include "decoder_config.h"
#include "qwen2_5_vision.h"

namespace caprl {
namespace {

constexpr int64_t kMaxSide = 4096;  // of patches, windows and merged blocks

void check(const ConfigReader& vision, const Qwen25VisionConfig& config) {
  if (config.hidden_size % config.num_heads != 0)
    vision.fail("hidden_size", "{} is no multiple of num_heads {}", config.hidden_size,
                config.num_heads);
  if (config.hidden_size / config.num_heads % 4 != 0)
    vision.fail("hidden_size",
                "/ num_heads is {}; rotary positions of rows and columns need a multiple of 4",
                config.hidden_size / config.num_heads);
  if (config.window_size / config.merge_size / config.patch_size < 1)
    vision.fail("window_size", "{} is less than one merged block of {} × {} pixels",
                config.window_size, config.merge_size * config.patch_size,
                config.merge_size * config.patch_size);
  if (vision.positive_or("spatial_patch_size", config.patch_size, kMaxSide) != config.patch_size)
    vision.fail("spatial_patch_size", "contradicts patch_size {}", config.patch_size);
  for (const int64_t block : config.full_attention_blocks)
    if (block < 0) vision.fail("fullatt_block_indexes", "has the negative index {}", block);
}

}  // namespace

Qwen25VisionConfig read_qwen2_5_vision_config(const ConfigReader& vision) {
  Qwen25VisionConfig config;
  config.depth = vision.positive_or("depth", 32, kMaxLayers);
  config.hidden_size = vision.positive("hidden_size", kMaxWidth);
  config.intermediate_size = vision.positive_or("intermediate_size", 3420, kMaxWidth);
  config.num_heads = vision.positive_or("num_heads", 16, kMaxWidth);
  config.in_channels = vision.positive_or("in_channels", vision.positive_or("in_chans", 3, 64), 64);
  if (vision.positive_or("in_chans", config.in_channels, 64) != config.in_channels)
    vision.fail("in_chans", "contradicts in_channels {}", config.in_channels);
  config.patch_size = vision.positive_or("patch_size", 14, kMaxSide);
  config.temporal_patch_size = vision.positive_or("temporal_patch_size", 2, 64);
  config.merge_size = vision.positive_or("spatial_merge_size", 2, 64);
  config.window_size = vision.positive_or("window_size", 112, kMaxWidth);
  config.out_size = vision.positive("out_hidden_size", kMaxWidth);
  config.full_attention_blocks = vision.integers_or("fullatt_block_indexes", {7, 15, 23, 31});
  config.initializer_range = vision.positive_number_or("initializer_range", 0.02);
  config.rope_theta = 10'000.0;
  if (const auto rope = vision.section("rope_parameters"))
    config.rope_theta = rope->positive_number_or("rope_theta", config.rope_theta);
  require_activation(vision, "silu");
  check(vision, config);
  return config;
}

std::vector<ParameterSpec> qwen2_5_vision_specs(const Qwen25VisionConfig& config) {
  const int64_t hidden = config.hidden_size, inner = config.intermediate_size;
  const int64_t merged = hidden * config.merge_size * config.merge_size;
  std::vector<ParameterSpec> specs{{"visual.patch_embed.proj.weight",
                                    {hidden, config.in_channels, config.temporal_patch_size,
                                     config.patch_size, config.patch_size}}};
  const auto linear = [&](const std::string& name, int64_t out, int64_t in) {
    specs.push_back({name + ".weight", {out, in}});
    specs.push_back({name + ".bias", {out}});
  };
  for (int64_t i = 0; i < config.depth; ++i) {
    const std::string block = fmt::format("visual.blocks.{}.", i);
    specs.push_back({block + "norm1.weight", {hidden}});
    specs.push_back({block + "norm2.weight", {hidden}});
    linear(block + "attn.qkv", 3 * hidden, hidden);
    linear(block + "attn.proj", hidden, hidden);
    linear(block + "mlp.gate_proj", inner, hidden);
    linear(block + "mlp.up_proj", inner, hidden);
    linear(block + "mlp.down_proj", hidden, inner);
  }
  specs.push_back({"visual.merger.ln_q.weight", {hidden}});
  linear("visual.merger.mlp.0", merged, merged);
  linear("visual.merger.mlp.2", config.out_size, merged);
  return specs;
}

}  // namespace caprl
