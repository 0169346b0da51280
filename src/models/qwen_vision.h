// The vision towers of Qwen2-VL and Qwen3-VL: layer norms, two-dimensional rotary positions, whole
// images. (That of Qwen2.5-VL is another: RMS norms, a gated feed-forward, windows.)
// Shape suffixes: P patches, M merged blocks, C patch columns, H hidden.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "vision_grid.h"
#include "vision_tower.h"
#include "vit_block.h"

namespace caprl {

/// From the patches of merged blocks to the decoder's width.
struct MergerConfig {
  std::string prefix, norm, fc1, fc2;
  bool norm_after_merge = false;  // of the whole merged block instead of each patch
};

struct QwenVisionConfig {
  int64_t depth = 0, in_channels = 3, patch_size = 0, temporal_patch_size = 2, merge_size = 2;
  int64_t out_size = 0;
  bool patch_bias = false;
  VitBlockConfig block;
  MergerConfig merger;
  int64_t position_side = 0;  // a learned table of position_side² places; 0: none
  /// After each of these blocks a merger of its own reads the hidden states (DeepStack).
  std::vector<int64_t> deepstack_blocks;
  std::vector<MergerConfig> deepstack_mergers;

  int64_t columns() const { return in_channels * temporal_patch_size * patch_size * patch_size; }
};

/// The keys that both families share, from vision_config. Absent ones have the given values.
void read_qwen_vision(const ConfigReader& vision, int64_t depth, int64_t patch_size,
                      QwenVisionConfig& config);
VisionPart describe_qwen_vision(const QwenVisionConfig& config);

}  // namespace caprl
