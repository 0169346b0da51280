// Operations on own CUDA kernels. Each has the contract of the public operation that calls it,
// which has checked it; tensors are on the device that runs_on() accepts. Builds without CUDA have
// no_kernels.cpp in place of these.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "caprl/ops/adamw.h"
#include "caprl/ops/feed_forward.h"
#include "caprl/ops/paged_attention.h"
#include "caprl/ops/rotary.h"
#include "caprl/ops/sample.h"
#include "caprl/ops/sequence_attention.h"
#include "ops/loss_rows.h"
#include "ops/rows.h"

namespace caprl::ops::fused {

/// Whether kernels work on such a tensor: on a CUDA device, of float or bfloat16.
bool runs_on(const at::Tensor& tensor);

void policy_loss(const LossProblem& problem, LossOutput& output);
/// gradient[ids[n]] += d_rows[n], without rows of `placeholder`.
void embedding_gradient(const at::Tensor& d_rows, const at::Tensor& ids, int64_t placeholder,
                        at::Tensor& gradient);
void logprobs(const LogprobProblem& problem, at::Tensor& logprobs, at::Tensor& entropy);

/// {q, k} turned.
std::vector<at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k, const RotaryTable& table);
/// q turned; k turned and v to places `slots` [N] int64 of the pages.
at::Tensor rotate_to_pages(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const RotaryTable& table, KvPages& pages, const at::Tensor& slots);

bool has_attention_kernel(int64_t heads, int64_t kv_heads, int64_t head_dim, at::ScalarType dtype);
/// Into `out`; false: there is no kernel for this dtype or these heads.
bool paged_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const RotaryTable& table, KvPages& pages, const PagedBatch& batch,
                     at::Tensor& out);
/// Puts another batch of as many tokens in the plan's memory; false: there is no room for it.
bool renew(const AttentionPlan& plan, const PagedBatch& batch);

/// ops::join(); false: there is no kernel for this dtype or these heads.
bool join(Attended& a, const Attended& b);

/// sums [F] float += x [N, F] summed over its rows.
void add_column_sums(const at::Tensor& x, at::Tensor& sums);

/// `delta` undefined: the sum is x itself.
AddedNorm add_rms_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                       double eps);
/// The gradient of the sum: g of the normed rows, g_sum (or undefined) of the sum. `d_weight` [H]
/// float is added to unless undefined.
at::Tensor rms_norm_backward(const at::Tensor& g, const at::Tensor& g_sum, const at::Tensor& sum,
                             const at::Tensor& weight, const at::Tensor& scale,
                             at::Tensor& d_weight);

std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights);
at::Tensor feed_forward(const at::Tensor& x, const FeedForwardWeights& weights);

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);
/// The gradients of gate and up [..., F], side by side: [..., 2F].
at::Tensor swiglu_backward(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& g);

/// The stored weights, where there are any, are bfloat16.
void adamw(const AdamWTensors& tensors, const AdamWTerms& terms);
at::Tensor squared_norm(const at::Tensor& x);

SampledRows sample_rows(const at::Tensor& logits, const at::Tensor& banned, const at::Tensor& keys,
                        const at::Tensor& positions, const SampleTerms& terms);

}  // namespace caprl::ops::fused
