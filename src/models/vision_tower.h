// The vision side of a captioner.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "caprl/models/parameters.h"
#include "caprl/ops/recompute.h"

namespace caprl {

struct ImageFeatures {
  at::Tensor features;           // [M, H] in the order of the image tokens
  std::vector<at::Tensor> deep;  // [M, H] each, see Embeddings
};

class VisionTower {
 public:
  virtual ~VisionTower() = default;
  /// pixel_values [P, C], the patches of all images; (t, h, w) of each. Error if they do not match.
  virtual ImageFeatures forward(const at::Tensor& pixel_values_PC,
                                std::span<const std::array<int64_t, 3>> grids) const = 0;
  void set_recompute(ops::Recompute recompute) { recompute_ = recompute; }

 protected:
  ops::Recompute recompute_ = ops::Recompute::kNone;
};

/// What a family says of its vision side. Parameters are called "visual.…", those that lead from
/// features to the decoder "visual.merger.…" or "visual.deepstack_merger_list.…".
struct VisionPart {
  std::vector<ParameterSpec> specs;
  int64_t out_size = 0;
  int64_t merge_size = 2;
  std::function<std::unique_ptr<VisionTower>(const Parameters&)> build;
};

}  // namespace caprl
