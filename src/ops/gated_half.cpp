#include "caprl/ops/gated_half.h"

#include <ATen/ATen.h>

#include "caprl/ops/linear.h"
#include "caprl/ops/rms_norm.h"
#include "ops/cpu/operations.h"

namespace caprl::ops {

LayerStates gated_half(const at::Tensor& hidden, at::Tensor attended, const GatedHalf& half,
                       Recompute recompute) {
  if (cpu::feeds_in_blocks(hidden, attended, half)) return cpu::gated_half(hidden, attended, half);
  const at::Tensor mixed = linear(attended, half.output, half.bits);
  attended.reset();  // its memory is the feed-forward's
  const auto [sum, normed] = add_rms_norm(hidden, mixed, half.norm, half.eps);
  const at::Tensor change = recompute == Recompute::kMlp
                                ? feed_forward_again(normed, half.feed_forward, half.bits)
                                : feed_forward(normed, half.feed_forward, half.bits);
  const auto [next, next_normed] = add_rms_norm(sum, change, half.next_norm, half.eps);
  return {next, next_normed};
}

}  // namespace caprl::ops
