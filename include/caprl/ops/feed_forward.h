// The feed-forward layer with a gate (Shazeer, arXiv 2002.05202).
#pragma once
#include "caprl/ops/linear.h"

namespace caprl::ops {

struct FeedForwardWeights {
  LinearWeights gate, up, down;  // [F, H], [F, H], [H', F], biases or none
};

/// down(silu(gate(x)) · up(x)): x [N, H] → [N, H'], of one dtype, rounded after each of these as
/// transformers does. Differentiable; silu(gate) · up is computed again for the backward pass and
/// not kept (on a GPU only where all weights that are trained have a sum for their gradients;
/// nowhere with adapters).
at::Tensor feed_forward(const at::Tensor& x, const FeedForwardWeights& weights,
                        RowBits bits = RowBits::kFixed);
/// The same, of which only x is kept for the backward pass (Recompute::kMlp).
at::Tensor feed_forward_again(const at::Tensor& x, const FeedForwardWeights& weights,
                              RowBits bits = RowBits::kFixed);

}  // namespace caprl::ops
