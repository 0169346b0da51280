// InternViT with pixel shuffle and projector: the vision side of InternVL 2 to 3.5.
// Shape suffixes: T tiles, P patches of a tile, H hidden.
#pragma once
#include <array>
#include <string>

#include "vision_tower.h"
#include "vit_block.h"

namespace caprl {

/// What the projector's parameters are called behind "visual.merger.".
struct ProjectorNames {
  std::string norm, fc1, fc2;
};

struct InternVitConfig {
  int64_t depth = 0, in_channels = 3, patch_size = 14, tile_size = 448;
  int64_t shuffle = 2;   // side of the squares of patches that become one feature
  int64_t out_size = 0;  // the decoder's width
  VitBlockConfig block;
  ProjectorNames projector;

  int64_t side() const { return tile_size / patch_size; }
};

/// An image is a batch of tiles: grid (tiles, side, side), rows of patches in raster order.
VisionPart describe_intern_vit(const InternVitConfig& config);

}  // namespace caprl
