// The loss head without autograd, in its two implementations: of library products and a softmax
// (the CPU path, and in double the oracle of the other), and on a GPU's kernels.
#pragma once
#include "caprl/ops/policy_loss.h"

namespace caprl::ops {

/// Checked input, detached.
struct LossProblem {
  at::Tensor hidden, head_weight;
  PolicyLossInput input;
  PolicyLossOptions options;
};

/// Filled by the implementations.
struct LossOutput {
  at::Tensor loss, logprobs, entropy, ratio, kl;  // [N] of statistics_dtype
  at::Tensor clipped;                             // [N] bool
  at::Tensor d_hidden;  // like hidden, zeros at first; undefined: not wanted
  at::Tensor d_weight;  // [V, H] of statistics_dtype, added to; undefined: not wanted
};

struct LogprobProblem {
  at::Tensor hidden, head_weight, targets;
  double temperature;
  int64_t chunk_tokens;
};

/// fp32, of double models fp64.
at::ScalarType statistics_dtype(const at::Tensor& hidden);

void composed_policy_loss(const LossProblem& problem, LossOutput& output);
/// logprobs [N]; entropy [N], or undefined: not wanted.
void composed_logprobs(const LogprobProblem& problem, at::Tensor& logprobs, at::Tensor& entropy);

}  // namespace caprl::ops
