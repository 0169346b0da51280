// What the operations on kernels need of the device that they run on. device_cuda.cpp is the GPU;
// tests link another that runs kernels and products on the CPU.
#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/stream.h"

namespace caprl::ops::fused {

/// The stream that PyTorch's operations on this tensor's device are queued on.
kernels::Stream stream_of(const at::Tensor& tensor);

/// d = a · b, or d += a · b: a [M, K], b [K, N], d [M, N], each with unit stride in one dimension
/// (d in the second). a and b bfloat16 → d bfloat16 or float, or all float. Sums are fp32.
void multiply(const at::Tensor& a, const at::Tensor& b, at::Tensor& d, bool accumulate = false);

/// Bytes of the device that a product takes meanwhile: what cuBLAS asks for on Hopper.
inline constexpr int64_t kProductWorkspace = int64_t{32} << 20;

}  // namespace caprl::ops::fused
