// Products by the libraries that LibTorch brings.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

namespace caprl::ops {

/// x [M, K] · weight [N, K]ᵀ + bias [N], as at::linear: by oneDNN for large products of floats on a
/// CPU, which ATen gives to MKL. No gradients are recorded where that is so.
at::Tensor library_linear(const at::Tensor& x, const at::Tensor& weight,
                          const std::optional<at::Tensor>& bias = std::nullopt);

}  // namespace caprl::ops
