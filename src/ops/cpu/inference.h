// Operations on the CPU's own kernels, in inference mode. Each has the contract of the public
// operation that calls it, which has checked it.
#pragma once
#include <ATen/core/Tensor.h>

#include <tuple>
#include <vector>

#include "caprl/ops/linear.h"
#include "caprl/ops/paged_attention.h"
#include "caprl/ops/rotary.h"

namespace caprl::ops::cpu {

/// Whether there are kernels for such a tensor: on a CPU, of float or bfloat16, and not a device
/// with kernels of its own.
bool has_kernels(const at::Tensor& tensor);
/// Whether they are meant to run here and now: in inference mode.
bool runs_on(const at::Tensor& tensor);

/// Results of `out` dtype: x's, or float.
std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights,
                                    at::ScalarType out);
/// {sum, normed}; the sum is x itself if `delta` is undefined.
std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                                const at::Tensor& weight, double eps);
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);
std::vector<at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k, const RotaryTable& table);
/// Whether `rotate` has this table's dtype.
bool rotates(const at::Tensor& x, const RotaryTable& table);

at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           KvPages& pages, const PagedBatch& batch);

}  // namespace caprl::ops::cpu
