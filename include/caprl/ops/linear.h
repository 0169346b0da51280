// Rows times a weight matrix.
#pragma once
#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

namespace caprl::ops {

/// x [..., K], weight [N, K], bias [N] or undefined, of one dtype → [..., N]. Differentiable.
///
/// In inference mode (c10::InferenceMode) on a CPU a row's result has the same bits whatever other
/// rows there are: own kernels, products summed in float in a fixed order.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// One of several matrices that the same rows are multiplied by.
struct LinearWeights {
  at::Tensor weight, bias;  // the bias may be undefined
};

/// linear() for each of them; on a CPU in inference mode all in one go.
std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights);

/// The same without a bias, in float whatever the dtype (double for double): logits of a bfloat16
/// model, which rounding would shift by up to 0.06.
at::Tensor linear_in_float(const at::Tensor& x, const at::Tensor& weight);

/// The least width of `width` or more at which `x`'s device multiplies at full speed: a GPU reads
/// rows of bfloat16 in 16 bytes.
int64_t fast_width(int64_t width, const at::Tensor& x);
/// x with zeros after it in dimension `dim`, up to `width`. Differentiable.
at::Tensor pad_with_zeros(const at::Tensor& x, int64_t dim, int64_t width);

}  // namespace caprl::ops
