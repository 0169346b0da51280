#include "caprl/ops/feed_forward.h"

#include <ATen/ATen.h>

#include <array>

#include "caprl/ops/swiglu.h"
#include "ops/fused/kernels.h"

namespace caprl::ops {

at::Tensor feed_forward(const at::Tensor& x, const FeedForwardWeights& weights, RowBits bits) {
  const auto& [gate, up, down] = weights;
  TORCH_CHECK(x.dim() == 2 && gate.weight.values.sizes() == up.weight.values.sizes(),
              "[feed_forward] expected x [N, H], gate and up of one shape, got ", x.sizes(), ", ",
              gate.weight.values.sizes(), " and ", up.weight.values.sizes());
  if (fused::runs_on(x)) return fused::feed_forward(x, weights);
  if (bits == RowBits::kAny)
    return linear(swiglu(linear(x, gate, bits), linear(x, up, bits)), down, bits);
  const std::array<LinearWeights, 2> inner{gate, up};
  const auto both = linear_each(x, inner);
  return linear(swiglu(both[0], both[1]), down);
}

}  // namespace caprl::ops
