// Rotary position embedding, half-split form (Su et al., arXiv 2104.09864; pairs (i, i + D/2)).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace caprl::ops {

/// Cosines and sines of each row's D/2 angles, [N, D/2].
struct RotaryTable {
  at::Tensor cos, sin;
};

/// theta^(−2k/dim), k = 0 … dim/2 − 1, of dtype float or double.
at::Tensor inverse_frequencies(int64_t dim, double theta, at::TensorOptions options);

/// x [N, heads, D] with every pair of every head turned by its row's angle. Computed in the table's
/// dtype, returned in x's. Differentiable in x.
at::Tensor rotate(const at::Tensor& x, const RotaryTable& table);

}  // namespace caprl::ops
