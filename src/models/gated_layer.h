// What a decoder's layers and a vision tower's blocks with RMS norms and a gated feed-forward have
// in common. Shape suffixes: N tokens or patches, H hidden.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "caprl/ops/feed_forward.h"
#include "caprl/ops/recompute.h"

namespace caprl {

/// What one layer hands to the next: the hidden states [N, H], and normed by the next one's norm.
struct LayerStates {
  at::Tensor hidden, normed;
};

/// A layer's second half.
struct GatedHalf {
  const at::Tensor& norm;
  const ops::FeedForwardWeights& feed_forward;
  const at::Tensor& next_norm;
  double eps;
  ops::RowBits bits = ops::RowBits::kFixed;
};
/// From the hidden states and what attention adds to them.
LayerStates feed_and_norm(const at::Tensor& hidden_NH, const at::Tensor& mixed_NH,
                          const GatedHalf& half, ops::Recompute recompute);

/// compute(states), again for the backward pass (ops::recomputed).
LayerStates computed_again(std::function<LayerStates(const LayerStates&)> compute,
                           const LayerStates& states, bool trained);

}  // namespace caprl
