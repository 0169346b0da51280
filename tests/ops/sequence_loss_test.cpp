// The loss whose ratio is a whole sequence's, against the formula written out with autograd.
#include <ATen/ATen.h>

#include <cmath>

#include "caprl/core/error.h"
#include "policy_loss_problem.h"

namespace caprl::ops {
namespace {

constexpr int64_t kSequences = 4;

struct SequenceProblem : Problem {
  at::Tensor sequences;
};

/// Twelve rows in four sequences of different lengths, one row of them masked.
SequenceProblem make_sequences(at::ScalarType dtype, bool with_old) {
  SequenceProblem p{make_problem(dtype, with_old), {}};
  p.sequences = at::tensor({0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 3}, at::kLong);
  p.input.advantages = at::tensor({1.5, -0.7, 0.9, -2.0}, at::kDouble).index_select(0, p.sequences);
  return p;
}

/// Σ w_t max(−A s, −A clip(s)) (dual clip, KL and entropy as for tokens), s from eq. 7 of GSPO.
at::Tensor written_out(const SequenceProblem& p, const PolicyLossOptions& o) {
  const at::Tensor log_probs = at::log_softmax(p.hidden.matmul(p.weight.t()) / o.temperature, 1);
  const at::Tensor logp = log_probs.gather(1, p.input.targets.unsqueeze(1)).squeeze(1);
  const at::Tensor old = p.input.old_logprobs.defined() ? p.input.old_logprobs : logp.detach();
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (int64_t s = 0; s < kSequences; ++s) {
    const at::Tensor rows = ((p.sequences == s) & (p.input.weights != 0)).nonzero().squeeze(1);
    const auto of = [&](const at::Tensor& t) { return t.index_select(0, rows); };
    const at::Tensor ratio = (of(logp) - of(old)).mean().exp(), a = of(p.input.advantages)[0];
    at::Tensor value =
        at::maximum(-a * ratio, -a * ratio.clamp(1 - o.clip_ratio_low, 1 + o.clip_ratio_high));
    if (o.clip_ratio_c > 0 && a.item<double>() < 0) value = at::minimum(value, -a * o.clip_ratio_c);
    at::Tensor tokens = value.expand({rows.numel()});
    const at::Tensor x = of(p.input.reference_logprobs) - of(logp);
    if (o.kl == KlEstimator::kK3) tokens = tokens + o.kl_coef * (x.exp() - 1 - x);
    const at::Tensor entropy = -(of(log_probs).exp() * of(log_probs)).sum(1);
    loss = loss + ((tokens - o.entropy_coeff * entropy) * of(p.input.weights)).sum();
  }
  return loss;
}

TEST(SequencePolicyLoss, MatchesTheFormula) {
  for (const bool with_old : {false, true})
    for (const double clip : {0.0, 0.003, 0.2})
      for (const KlEstimator kl : {KlEstimator::kNone, KlEstimator::kK3}) {
        const SequenceProblem p = make_sequences(at::kDouble, with_old);
        const PolicyLossOptions options{.temperature = 0.9,
                                        .clip_ratio_low = clip,
                                        .clip_ratio_high = 2 * clip,
                                        .kl = kl,
                                        .kl_coef = 0.3,
                                        .entropy_coeff = 0.1,
                                        .chunk_tokens = 5};
        const auto result = sequence_policy_loss(p.hidden, p.weight, p.input, p.sequences, options);
        const at::Tensor expected = written_out(p, options);
        EXPECT_NEAR(result.loss.item<double>(), expected.item<double>(), 1e-12);
        const auto got = torch::autograd::grad({result.loss}, {p.hidden, p.weight});
        const auto want = torch::autograd::grad({expected}, {p.hidden, p.weight});
        for (int i = 0; i < 2; ++i)
          EXPECT_LT((got[i] - want[i]).abs().max().item<double>(), 1e-12) << with_old << clip << i;
      }
}

TEST(SequencePolicyLoss, OneRatioASequence) {
  const SequenceProblem p = make_sequences(at::kDouble, true);
  const auto result = sequence_policy_loss(p.hidden, p.weight, p.input, p.sequences, {});
  const at::Tensor logp = token_logprobs(p.hidden, p.weight, p.input.targets, 1.0);
  const at::Tensor log_ratio = logp - p.input.old_logprobs;
  // Row 3 is masked; its sequence is rows 0 to 2.
  const double first = std::exp(log_ratio.narrow(0, 0, 3).mean().item<double>());
  for (int64_t row = 0; row < 3; ++row) EXPECT_NEAR(result.ratio[row].item<double>(), first, 1e-12);
  EXPECT_EQ(result.ratio[3].item<double>(), 1.0);
  EXPECT_FALSE(result.clipped[3].item<bool>());
}

TEST(SequencePolicyLoss, StrictlyOnPolicyTheRatioIsOne) {
  const SequenceProblem p = make_sequences(at::kFloat, false);
  const auto result = sequence_policy_loss(p.hidden, p.weight, p.input, p.sequences, {});
  EXPECT_TRUE(at::equal(result.ratio, at::ones_like(result.ratio)));
  EXPECT_EQ(result.clipped.sum().item<int64_t>(), 0);
}

TEST(SequencePolicyLoss, HeadGradientIsAddedInPlace) {
  const SequenceProblem p = make_sequences(at::kDouble, true);
  const at::Tensor expected = torch::autograd::grad(
      {sequence_policy_loss(p.hidden, p.weight, p.input, p.sequences, {}).loss}, {p.weight})[0];
  const at::Tensor sum = at::zeros_like(expected);
  sequence_policy_loss(p.hidden, p.weight, p.input, p.sequences, {}, sum).loss.backward();
  EXPECT_LT((sum - expected).abs().max().item<double>(), 1e-14);
}

TEST(SequencePolicyLoss, Contract) {
  const SequenceProblem p = make_sequences(at::kDouble, true);
  EXPECT_THROW(sequence_policy_loss(p.hidden, p.weight, p.input, p.sequences.narrow(0, 0, 3), {}),
               Error);
  EXPECT_THROW(sequence_policy_loss(p.hidden, p.weight, p.input, p.sequences - 1, {}), Error);
  EXPECT_THROW(sequence_policy_loss(p.hidden, p.weight, p.input, {}, {}), Error);
}

}  // namespace
}  // namespace caprl::ops
