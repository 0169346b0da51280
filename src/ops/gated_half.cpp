#include "caprl/ops/gated_half.h"

#include <ATen/ATen.h>

#include "caprl/ops/rms_norm.h"
#include "ops/cpu/operations.h"

namespace caprl::ops {

LayerStates gated_half(const at::Tensor& hidden, const at::Tensor& mixed, const GatedHalf& half,
                       Recompute recompute) {
  if (cpu::feeds_in_blocks(hidden, half)) return cpu::gated_half(hidden, mixed, half);
  const auto [sum, normed] = add_rms_norm(hidden, mixed, half.norm, half.eps);
  const at::Tensor change = recompute == Recompute::kMlp
                                ? feed_forward_again(normed, half.feed_forward, half.bits)
                                : feed_forward(normed, half.feed_forward, half.bits);
  const auto [next, next_normed] = add_rms_norm(sum, change, half.next_norm, half.eps);
  return {next, next_normed};
}

}  // namespace caprl::ops
