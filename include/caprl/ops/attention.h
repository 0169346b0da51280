// Attention over whole sequences.
#pragma once
#include <ATen/core/Tensor.h>

namespace caprl::ops {

/// softmax(q kᵀ / √D + mask) v: q [B, H, Q, D], k and v [B, Hkv, K, D], each head of keys for
/// H / Hkv heads of queries → [B, H, Q, D]. `mask` (undefined: none) is added, and broadcast;
/// `causal`: a query sees the keys up to its own place. Differentiable.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& mask = {}, bool causal = false);

}  // namespace caprl::ops
