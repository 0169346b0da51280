// Rotary position embedding, half-split form (Su et al., arXiv 2104.09864; pairs (i, i + D/2)).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <tuple>

namespace caprl::ops {

/// Cosines and sines of each row's D/2 angles, [N, D/2].
struct RotaryTable {
  at::Tensor cos, sin;
};

/// Cosines and sines of angles [N, D/2] (float or double), rounded to `dtype`.
RotaryTable rotary_table(const at::Tensor& angles, at::ScalarType dtype);

/// Of the angles position · frequency: positions [axes, N] int64, frequencies [D/2] float or
/// double; `axis` [D/2] int64 says whose positions turn a frequency, undefined: the first one's. In
/// inference mode on a CPU a token's have the same bits wherever it stands.
RotaryTable rotary_table(const at::Tensor& positions, const at::Tensor& frequencies,
                         const at::Tensor& axis, at::ScalarType dtype);

/// theta^(−2k/dim), k = 0 … dim/2 − 1, of dtype float or double.
at::Tensor inverse_frequencies(int64_t dim, double theta, at::TensorOptions options);

/// Queries [N, Hq, D] and keys [N, Hk, D] with every pair of every head turned by its row's angle.
/// Computed in the table's dtype (float on a GPU), returned in theirs. Differentiable in both.
std::tuple<at::Tensor, at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k,
                                          const RotaryTable& table);

}  // namespace caprl::ops
