// How images lie in the packed patch dimension, so that attention inside windows is a few batched
// calls.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "caprl/ops/rotary.h"

namespace caprl {

struct GridOptions {
  /// Window that holds every image.
  static constexpr int64_t kNoWindows = int64_t{1} << 40;

  int64_t merge_size;     // patches a side of a merged block
  int64_t window_blocks;  // merged blocks a side of an attention window, or kNoWindows
  int64_t head_dim;
  double rope_theta;
  at::TensorOptions table;  // dtype (float or double) and device of the rotary tables
};

/// One image size. Attention does not care in which order its tokens come, so the blocks are put
/// window by window, windows of equal size together.
struct GridPlan {
  GridPlan(int64_t grid_h, int64_t grid_w, const GridOptions& options);

  struct Windows {
    int64_t count, patches;  // consecutive windows of `patches` patches each
  };
  int64_t patches;               // of the whole image
  std::vector<int64_t> blocks;   // row-major index of the merged block at each place
  std::vector<Windows> windows;  // in order
  ops::RotaryTable table;        // [patches, head_dim / 2], in this order
};

/// Plans of image sizes already seen. Thread safe.
class GridCache {
 public:
  explicit GridCache(GridOptions options) : options_(std::move(options)) {}
  std::shared_ptr<const GridPlan> get(int64_t grid_h, int64_t grid_w) const;

 private:
  static constexpr size_t kMaxPlans = 64;  // of 16,384 patches each they would hold 320 MB

  GridOptions options_;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<int64_t, int64_t>, std::shared_ptr<const GridPlan>> plans_;
};

/// Images of one size next to each other, so that they can be a batch dimension.
struct ImageBatch {
  struct Group {
    std::shared_ptr<const GridPlan> plan;
    int64_t count;  // images
  };
  ImageBatch(std::span<const std::array<int64_t, 3>> grids, const GridCache& cache,
             int64_t merge_size, at::Device device);

  ops::RotaryTable table() const;  // [patches, head_dim / 2]
  /// Patches [P, H] in the images' order → in the order of the groups and their windows.
  at::Tensor arrange(const at::Tensor& patches_PH) const;
  /// Merged blocks [M, H] back in the images' order.
  at::Tensor restore(const at::Tensor& blocks_MH) const;

  std::vector<Group> groups;
  /// [M] merged block at each place, and its inverse; undefined if every block stays where it is.
  at::Tensor order, inverse;
  int64_t num_patches = 0;
  int64_t merge_size = 0;
};

/// Error unless pixel_values are [patches, columns].
void check_patches(const at::Tensor& pixel_values, int64_t patches, int64_t columns);

}  // namespace caprl
