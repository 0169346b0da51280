// Root-mean-square normalisation (Zhang & Sennrich, arXiv 1910.07467).
#pragma once
#include <ATen/core/Tensor.h>

#include <tuple>

namespace caprl::ops {

/// weight · x / √(mean(x²) + eps) over the last dimension: x [..., H], weight [H], one dtype
/// (float, double, bfloat16). Normalised in fp32 (fp64 for double) and rounded to x's dtype before
/// the weight is applied, as transformers does. Differentiable in both; keeps x and one number a
/// row for the backward pass.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// sum = residual + delta, and rms_norm(sum, weight, eps): what every transformer layer does twice,
/// in one pass on a GPU. residual and delta [..., H] of one shape and dtype. Differentiable in all.
std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& residual, const at::Tensor& delta,
                                                const at::Tensor& weight, double eps);

}  // namespace caprl::ops
