// What follows attention in a transformer's layer with RMS norms and a gated feed-forward.
#pragma once
#include <ATen/core/Tensor.h>

#include "caprl/ops/feed_forward.h"
#include "caprl/ops/recompute.h"

namespace caprl::ops {

struct GatedHalf {
  const LinearWeights& output;  // [H, A], joins attention's heads
  const at::Tensor& norm;       // [H]
  const FeedForwardWeights& feed_forward;
  const at::Tensor& next_norm;  // [H], of what comes after this layer
  double eps;
  RowBits bits = RowBits::kFixed;
};

/// What one layer hands to the next: the hidden states [N, H], and normed by the next one's norm.
struct LayerStates {
  at::Tensor hidden, normed;
};

/// From the hidden states [N, H] and what attention's heads saw [N, A], of one dtype: sum = hidden
/// + linear(attended, output), then sum + feed_forward(rms_norm(sum, norm)). Differentiable. On a
/// CPU in inference mode many rows of a small model go through all of it in blocks, each in one
/// core's cache.
LayerStates gated_half(const at::Tensor& hidden, at::Tensor attended, const GatedHalf& half,
                       Recompute recompute);

}  // namespace caprl::ops
