// A small loss with every kind of row, and the loss written out a second time with plain autograd.
#pragma once
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "caprl/ops/policy_loss.h"

namespace caprl::ops {

inline constexpr int64_t kRows = 12, kHidden = 5, kVocab = 9;

inline constexpr KlEstimator kEstimators[] = {KlEstimator::kNone, KlEstimator::kK1,
                                              KlEstimator::kK2, KlEstimator::kK3};

struct Problem {
  at::Tensor hidden, weight;
  PolicyLossInput input;
};

/// Log-probabilities of old and reference policies around the current ones, so that every clip and
/// estimator branch occurs.
inline Problem make_problem(at::ScalarType dtype, bool with_old, double spread = 1.0) {
  at::manual_seed(7);
  const auto real = at::TensorOptions().dtype(at::kDouble);
  Problem p;
  p.hidden = (at::randn({kRows, kHidden}, real) * spread).to(dtype).requires_grad_();
  p.weight = at::randn({kVocab, kHidden}, real).to(dtype).requires_grad_();
  p.input.targets = at::randint(kVocab, {kRows}, at::kLong);
  p.input.advantages = at::randn({kRows}, real);
  p.input.weights = at::rand({kRows}, real) + 0.1;
  p.input.weights[3].fill_(0);
  const at::Tensor logp = token_logprobs(p.hidden, p.weight, p.input.targets, 1.0).to(at::kDouble);
  p.input.reference_logprobs = logp + 0.7 * at::randn({kRows}, real);
  if (with_old) p.input.old_logprobs = logp + 0.7 * at::randn({kRows}, real);
  return p;
}

/// The loss written out with autograd in fp64, from log_softmax.
inline at::Tensor reference_loss(const at::Tensor& hidden, const at::Tensor& weight,
                                 const PolicyLossInput& in, const PolicyLossOptions& o) {
  const at::Tensor log_probs = at::log_softmax(hidden.matmul(weight.t()) / o.temperature, 1);
  const at::Tensor logp = log_probs.gather(1, in.targets.unsqueeze(1)).squeeze(1);
  const at::Tensor old = in.old_logprobs.defined() ? in.old_logprobs : logp.detach();
  const at::Tensor ratio = (logp - old).exp();
  const at::Tensor a = in.advantages;
  at::Tensor loss =
      at::maximum(-a * ratio, -a * ratio.clamp(1 - o.clip_ratio_low, 1 + o.clip_ratio_high));
  if (o.clip_ratio_c > 0) loss = at::where(a < 0, at::minimum(loss, -a * o.clip_ratio_c), loss);
  const at::Tensor x = in.reference_logprobs - logp;
  if (o.kl == KlEstimator::kK1) loss = loss - o.kl_coef * x;
  if (o.kl == KlEstimator::kK2) loss = loss + o.kl_coef * x.square() / 2;
  if (o.kl == KlEstimator::kK3) loss = loss + o.kl_coef * (x.exp() - 1 - x);
  const at::Tensor entropy = -(log_probs.exp() * log_probs).sum(1);
  return ((loss - o.entropy_coeff * entropy) * in.weights).sum();
}

}  // namespace caprl::ops
