// The gate of a SwiGLU feed-forward layer (Shazeer, arXiv 2002.05202).
#pragma once
#include <ATen/core/Tensor.h>

namespace caprl::ops {

/// silu(gate) · up, elementwise, rounded to the dtype after silu as transformers does.
/// Differentiable in both; keeps the two inputs for the backward pass.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace caprl::ops
