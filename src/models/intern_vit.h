// InternViT with pixel shuffle and projector: the vision side of InternVL 2 to 3.5.
// Shape suffixes: T tiles, P patches of a tile, H hidden.
#pragma once
#include <array>
#include <string>

#include "vision_tower.h"
#include "vit_block.h"

namespace caprl {

struct InternVitConfig {
  int64_t depth = 0, in_channels = 3, patch_size = 14, tile_size = 448;
  int64_t shuffle = 2;   // side of the squares of patches that become one feature
  int64_t out_size = 0;  // the decoder's width
  VitBlockConfig block;
  std::string projector_norm, projector_fc1, projector_fc2;  // behind "visual.merger."

  int64_t side() const { return tile_size / patch_size; }
};

/// An image is a batch of tiles: grid (tiles, side, side), rows of patches in raster order.
VisionPart describe_intern_vit(const InternVitConfig& config);

}  // namespace caprl
