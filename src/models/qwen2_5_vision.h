// The vision tower of Qwen2.5-VL: patches of several images, packed, to features of their merged
// blocks. Shape suffixes: P patches, M merged blocks, C patch columns, H hidden.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <span>
#include <vector>

#include "caprl/models/parameters.h"
#include "caprl/ops/rotary.h"
#include "config_reader.h"
#include "gated_layer.h"
#include "vision_grid.h"
#include "vision_tower.h"

namespace caprl {

struct Qwen25VisionConfig {
  int64_t depth = 0, hidden_size = 0, intermediate_size = 0, num_heads = 0, in_channels = 0;
  int64_t patch_size = 0, temporal_patch_size = 0, merge_size = 0, window_size = 0, out_size = 0;
  std::vector<int64_t> full_attention_blocks;
  double rope_theta = 0;
  double initializer_range = 0;

  int64_t columns() const { return in_channels * temporal_patch_size * patch_size * patch_size; }
};

/// `vision` is the config's vision_config; absent keys have the values of the published models.
Qwen25VisionConfig read_qwen2_5_vision_config(const ConfigReader& vision);
std::vector<ParameterSpec> qwen2_5_vision_specs(const Qwen25VisionConfig& config);

/// Thread safe while nobody updates the weights.
class Qwen25VisionTower : public VisionTower {
 public:
  Qwen25VisionTower(Qwen25VisionConfig config, const Parameters& parameters);

  /// pixel_values [P, C], (t, h, w) of each image → [M, out], in the order of the images' merged
  /// blocks, row by row.
  ImageFeatures forward(const at::Tensor& pixel_values_PC,
                        std::span<const std::array<int64_t, 3>> grids) const override;

 private:
  struct Block {
    at::Tensor norm1, norm2;
    ops::LinearWeights qkv, proj;
    ops::FeedForwardWeights feed_forward;
    bool full_attention;
  };
  LayerStates compute(size_t index, const LayerStates& states, const ImageBatch& images,
                      const ops::RotaryTable& table) const;
  at::Tensor attend(const Block& block, const at::Tensor& hidden_PH, const ImageBatch& images,
                    const ops::RotaryTable& table) const;
  at::Tensor merge(const at::Tensor& normed_PH) const;

  Qwen25VisionConfig config_;
  at::Tensor patch_weight_HC_;
  std::vector<Block> blocks_;
  at::Tensor merger_norm_;
  ops::LinearWeights merger0_, merger2_;
  GridCache grids_;
  bool trained_;  // any block
};

}  // namespace caprl
