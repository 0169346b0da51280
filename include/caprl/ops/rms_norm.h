// Root-mean-square normalisation (Zhang & Sennrich, arXiv 1910.07467).
#pragma once
#include <ATen/core/Tensor.h>

namespace caprl::ops {

/// weight · x / √(mean(x²) + eps) over the last dimension: x [..., H], weight [H], one dtype
/// (float, double, bfloat16). Normalised in fp32 (fp64 for double) and rounded to x's dtype before
/// the weight is applied, as transformers does. Differentiable in both; keeps x and one number a
/// row for the backward pass.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace caprl::ops
