// Operations on the CPU's own kernels. Each has the contract of the public operation that calls it,
// which has checked it.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <span>
#include <vector>

#include "caprl/ops/adamw.h"
#include "caprl/ops/gated_half.h"
#include "caprl/ops/linear.h"
#include "caprl/ops/paged_attention.h"
#include "caprl/ops/rotary.h"
#include "caprl/ops/sequence_attention.h"
#include "ops/cpu/kernels.h"
#include "ops/rows.h"

namespace caprl::ops::cpu {

/// Whether there are kernels for such a tensor: on a CPU, of float or bfloat16, and not a device
/// with kernels of its own.
bool has_kernels(const at::Tensor& tensor);
/// Whether those without gradients are meant to run here and now: in inference mode.
bool runs_without_gradients(const at::Tensor& tensor);

/// Memory for that many floats, at the beginning of a line of a cache, that this thread keeps from
/// call to call.
float* thread_scratch(int64_t floats);

/// Results of `out` dtype: x's, or float.
std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights,
                                    at::ScalarType out);
/// The sum is x itself if `delta` is undefined.
AddedNorm add_rms_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                       double eps);
/// The gradient of the sum: g of the normed rows, g_sum (or undefined) of the sum. `d_weight` [H]
/// float is added to unless undefined. Sums are in one order whatever the number of threads.
at::Tensor rms_norm_backward(const at::Tensor& g, const at::Tensor& g_sum, const at::Tensor& sum,
                             const at::Tensor& weight, const at::Tensor& scale,
                             at::Tensor& d_weight);
void adamw(const AdamWTensors& tensors, const AdamWTerms& terms);
void softmax(const SoftmaxRows& rows, int64_t count);
void softmax_backward(const SoftmaxGradients& gradients);
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);
/// The gradients of gate and up; g of the product.
std::array<at::Tensor, 2> swiglu_backward(const at::Tensor& gate, const at::Tensor& up,
                                          const at::Tensor& g);
/// The same, and the product again in the place of its gradient.
std::array<at::Tensor, 2> swiglu_backward_again(const at::Tensor& gate, const at::Tensor& up,
                                                at::Tensor& g);
std::vector<at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k, const RotaryTable& table);
/// Whether `rotate` has this table's dtype.
bool rotates(const at::Tensor& x, const RotaryTable& table);

/// Whether feed_forward() is for these: without gradients or adapters.
bool feeds(const at::Tensor& x, const FeedForwardWeights& weights);
at::Tensor feed_forward(const at::Tensor& x, const FeedForwardWeights& weights);
/// What it takes for silu(gate) · up.
int64_t gated_floats(int64_t rows, int64_t inner);

/// Rows of a layer's second half that one thread takes through all of it, a multiple of those that
/// are packed together; 0 where these do not fit into its cache, or there are too few.
int64_t rows_fed_at_once(int64_t rows, int64_t hidden, int64_t widest);
/// Whether gated_half() is for these: many rows of a small model, without gradients or adapters.
bool feeds_in_blocks(const at::Tensor& hidden, const at::Tensor& attended, const GatedHalf& half);
LayerStates gated_half(const at::Tensor& hidden, const at::Tensor& attended, const GatedHalf& half);

void copy_kv_pages(KvPages& pages, const at::Tensor& from, const at::Tensor& to);
/// Queries and keys are turned first by the table, if there is one, which is of their dtype.
at::Tensor paged_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const RotaryTable& table, KvPages& pages, const PagedBatch& batch);

/// Sequences lie one after another, a group's prefix before its branches.
Attended group_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         std::span<const GroupSequence> sequences);
/// Sums are in one order whatever the number of threads.
AttentionGradients group_attention_backward(const at::Tensor& g, const at::Tensor& q,
                                            const at::Tensor& k, const at::Tensor& v,
                                            const Attended& attended,
                                            std::span<const GroupSequence> sequences);

}  // namespace caprl::ops::cpu
