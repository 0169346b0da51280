// Products with weights, and their gradients, for the operations on kernels.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <span>

#include "caprl/ops/linear.h"

namespace caprl::ops::fused {

/// The matrices (or biases) as one with all their rows, if each begins in memory where the last
/// ends; otherwise undefined.
at::Tensor joined(std::span<const at::Tensor> parts);

/// The same of whole weights; if `trained`, of the sums of their gradients as well, which then must
/// lie as the weights do.
std::optional<LinearWeights> joined(std::span<const LinearWeights> weights, bool trained);

/// Whether an operation on x may add all gradients of the weights to their sums: it is part of a
/// backward pass, and no weight that is trained lacks a sum.
bool takes_gradients(const at::Tensor& x, std::span<const LinearWeights> weights);

/// Adds to the sums: g [N, M] is the gradient of x [N, K] · weightᵀ + bias. Columns of g and x
/// beyond the weight's rows and columns are padding.
void add_gradients(const at::Tensor& g, const at::Tensor& x, const LinearWeights& weights);

}  // namespace caprl::ops::fused
