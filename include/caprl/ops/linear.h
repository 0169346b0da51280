// Rows times a weight matrix.
#pragma once
#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "caprl/ops/low_rank.h"
#include "caprl/ops/weight.h"

namespace caprl::ops {

struct LinearWeights {
  /// Whether an operation that is called now has an adapter to apply.
  bool is_adapted() const { return adapter.defined() && !AdaptersOff::here(); }

  Weight weight, bias;  // [N, K]; [N] or undefined
  LowRank adapter = {};
};

/// What a CPU promises in inference mode (c10::InferenceMode).
enum class RowBits {
  kFixed,  // a row's result has the same bits whatever other rows there are: own kernels, products
           // summed in float in a fixed order
  kAny     // the library's product
};

/// x [..., K], weight [N, K], bias [N] or undefined, of one dtype → [..., N]; an adapter adds
/// (scale · x Aᵀ) Bᵀ, rounded as three more operations. Differentiable; on a GPU gradients of
/// weights with a sum (Weight::gradient) are added to it by the product itself.
at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                  RowBits bits = RowBits::kFixed);

/// linear() for each of several matrices; on a CPU in inference mode all in one go, on a GPU one
/// product if they lie side by side in memory. The same holds for their adapters' first products.
std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights,
                                    RowBits bits = RowBits::kFixed);

/// x · weightᵀ, in float whatever the dtype (double for double): logits of a bfloat16
/// model, which rounding would shift by up to 0.06.
at::Tensor linear_in_float(const at::Tensor& x, const at::Tensor& weight);

}  // namespace caprl::ops
