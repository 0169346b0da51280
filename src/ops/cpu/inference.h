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

/// Whether these are meant for such a tensor here and now: on a CPU, of float or bfloat16, in
/// inference mode, and not a device with kernels of its own.
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
