#include "caprl/ops/policy_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "caprl/core/error.h"

namespace caprl::ops {
namespace {

constexpr int64_t kRows = 12, kHidden = 5, kVocab = 9;

struct Problem {
  at::Tensor hidden, weight;
  PolicyLossInput input;
};

/// Log-probabilities of old and reference policies around the current ones, so that every clip and
/// estimator branch occurs.
Problem make_problem(at::ScalarType dtype, bool with_old, double spread = 1.0) {
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
at::Tensor reference_loss(const at::Tensor& hidden, const at::Tensor& weight,
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

void expect_matches_reference(const Problem& p, const PolicyLossOptions& options,
                              double tolerance) {
  const auto result = policy_loss(p.hidden, p.weight, p.input, options);
  const at::Tensor hidden = p.hidden.detach().to(at::kDouble).requires_grad_();
  const at::Tensor weight = p.weight.detach().to(at::kDouble).requires_grad_();
  const at::Tensor expected = reference_loss(hidden, weight, p.input, options);
  EXPECT_NEAR(result.loss.item<double>(), expected.item<double>(), tolerance);
  const auto got = torch::autograd::grad({result.loss}, {p.hidden, p.weight});
  const auto want = torch::autograd::grad({expected}, {hidden, weight});
  for (int i = 0; i < 2; ++i)
    EXPECT_LT((got[i].to(at::kDouble) - want[i]).abs().max().item<double>(), tolerance)
        << (i ? "weight" : "hidden");
}

TEST(PolicyLoss, MatchesAutogradInDoubleForEveryCombination) {
  for (const bool with_old : {false, true})
    for (const auto kl : {KlEstimator::kNone, KlEstimator::kK1, KlEstimator::kK2, KlEstimator::kK3})
      for (const double entropy : {0.0, 0.05})
        for (const double dual : {0.0, 1.3})
          for (const double temperature : {1.0, 0.6})
            for (const int64_t chunk : {1, 5, 100}) {
              PolicyLossOptions options;
              options.kl = kl;
              options.kl_coef = 0.3;
              options.entropy_coeff = entropy;
              options.clip_ratio_c = dual;
              options.clip_ratio_high = 0.28;
              options.temperature = temperature;
              options.chunk_tokens = chunk;
              SCOPED_TRACE(::testing::Message()
                           << "old " << with_old << " kl " << static_cast<int>(kl) << " entropy "
                           << entropy << " dual " << dual << " temperature " << temperature
                           << " chunk " << chunk);
              expect_matches_reference(make_problem(at::kDouble, with_old), options, 1e-12);
            }
}

TEST(PolicyLoss, MatchesFiniteDifferences) {
  Problem p = make_problem(at::kDouble, true);
  PolicyLossOptions options;
  options.kl = KlEstimator::kK3;
  options.kl_coef = 0.3;
  options.entropy_coeff = 0.05;
  const auto gradient = torch::autograd::grad(
      {policy_loss(p.hidden, p.weight, p.input, options).loss}, {p.hidden})[0];
  at::NoGradGuard no_grad;
  const double h = 1e-6;
  for (int64_t i = 0; i < kRows; ++i)
    for (int64_t j = 0; j < kHidden; ++j) {
      const auto at_offset = [&](double offset) {
        at::Tensor moved = p.hidden.detach().clone();
        moved[i][j] += offset;
        return policy_loss(moved, p.weight, p.input, options).loss.item<double>();
      };
      EXPECT_NEAR((at_offset(h) - at_offset(-h)) / (2 * h), gradient[i][j].item<double>(), 1e-7);
    }
}

TEST(PolicyLoss, Float32AndBfloat16WithinTheirRounding) {
  PolicyLossOptions options;
  options.kl = KlEstimator::kK3;
  options.kl_coef = 0.3;
  expect_matches_reference(make_problem(at::kFloat, true), options, 2e-5);
  expect_matches_reference(make_problem(at::kBFloat16, true), options, 3e-2);
}

TEST(PolicyLoss, StrictlyOnPolicyTheRatioIsExactlyOne) {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    Problem p = make_problem(dtype, false, 30.0);
    const auto result = policy_loss(p.hidden, p.weight, p.input, {});
    EXPECT_TRUE(result.ratio.eq(1).all().item<bool>());
    EXPECT_FALSE(result.clipped.any().item<bool>());
  }
}

TEST(PolicyLoss, ReferenceEqualToThePolicyHasExactlyZeroKl) {
  for (const auto kl : {KlEstimator::kK1, KlEstimator::kK2, KlEstimator::kK3}) {
    Problem p = make_problem(at::kFloat, false, 30.0);
    p.input.reference_logprobs = token_logprobs(p.hidden, p.weight, p.input.targets, 1.0);
    PolicyLossOptions options;
    options.kl = kl;
    options.kl_coef = 1;
    const auto result = policy_loss(p.hidden, p.weight, p.input, options);
    EXPECT_TRUE(result.kl.eq(0).all().item<bool>());
  }
}

TEST(PolicyLoss, MaskedRowsAddNothingWhateverTheyHold) {
  Problem p = make_problem(at::kDouble, true);
  PolicyLossOptions options;
  options.kl = KlEstimator::kK3;
  options.kl_coef = 0.3;
  options.entropy_coeff = 0.1;
  const auto clean = policy_loss(p.hidden, p.weight, p.input, options);
  const auto clean_gradients = torch::autograd::grad({clean.loss}, {p.hidden, p.weight});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  p.input.advantages[3].fill_(nan);
  p.input.old_logprobs[3].fill_(nan);
  p.input.reference_logprobs[3].fill_(-std::numeric_limits<double>::infinity());
  const auto masked = policy_loss(p.hidden, p.weight, p.input, options);
  const auto gradients = torch::autograd::grad({masked.loss}, {p.hidden, p.weight});
  EXPECT_EQ(masked.loss.item<double>(), clean.loss.item<double>());
  EXPECT_TRUE(at::equal(gradients[0], clean_gradients[0]));
  EXPECT_TRUE(at::equal(gradients[1], clean_gradients[1]));
  EXPECT_TRUE(gradients[0][3].eq(0).all().item<bool>());
}

TEST(PolicyLoss, ZeroAdvantagesGiveExactlyZero) {
  Problem p = make_problem(at::kFloat, true);
  p.input.advantages.zero_();
  const auto result = policy_loss(p.hidden, p.weight, p.input, {});
  EXPECT_EQ(result.loss.item<double>(), 0.0);
  const auto gradients = torch::autograd::grad({result.loss}, {p.hidden, p.weight});
  EXPECT_TRUE(gradients[0].eq(0).all().item<bool>());
  EXPECT_TRUE(gradients[1].eq(0).all().item<bool>());
}

TEST(PolicyLoss, EmptyInputHasAZeroLossWithGradients) {
  Problem p = make_problem(at::kFloat, false);
  const at::Tensor hidden = p.hidden.detach().slice(0, 0, 0).requires_grad_();
  const at::Tensor none = at::empty({0});
  const auto result =
      policy_loss(hidden, p.weight, {at::empty({0}, at::kLong), none, none, {}, {}}, {});
  EXPECT_EQ(result.loss.item<double>(), 0.0);
  result.loss.backward();
  EXPECT_TRUE(p.weight.grad().eq(0).all().item<bool>());
}

TEST(PolicyLoss, ExtremeLogitsStayFinite) {
  Problem p = make_problem(at::kFloat, false, 1e4);
  p.input.old_logprobs = at::full({kRows}, -1e4, at::kDouble);
  PolicyLossOptions options;
  options.kl = KlEstimator::kK3;
  options.kl_coef = 1;
  options.entropy_coeff = 0.1;
  p.input.reference_logprobs = at::full({kRows}, 1e4, at::kDouble);
  const auto result = policy_loss(p.hidden, p.weight, p.input, options);
  EXPECT_TRUE(std::isfinite(result.loss.item<double>()));
  EXPECT_TRUE(torch::autograd::grad({result.loss}, {p.hidden})[0].isfinite().all().item<bool>());
}

TEST(PolicyLoss, UpstreamGradientScales) {
  Problem p = make_problem(at::kDouble, true);
  const auto once =
      torch::autograd::grad({policy_loss(p.hidden, p.weight, p.input, {}).loss}, {p.hidden})[0];
  const auto thrice =
      torch::autograd::grad({policy_loss(p.hidden, p.weight, p.input, {}).loss * 3}, {p.hidden})[0];
  EXPECT_LT((thrice - 3 * once).abs().max().item<double>(), 1e-15);
}

TEST(PolicyLoss, FrozenHeadGetsNoGradient) {
  Problem p = make_problem(at::kDouble, true);
  p.weight = p.weight.detach();
  policy_loss(p.hidden, p.weight, p.input, {}).loss.backward();
  EXPECT_FALSE(p.weight.grad().defined());
  EXPECT_TRUE(p.hidden.grad().defined());
}

TEST(PolicyLoss, RefusesWhatBreaksItsContract) {
  Problem p = make_problem(at::kFloat, false);
  PolicyLossInput out_of_range = p.input;
  out_of_range.targets = at::full({kRows}, kVocab, at::kLong);
  EXPECT_THROW(policy_loss(p.hidden, p.weight, out_of_range, {}), Error);
  PolicyLossOptions needs_reference;
  needs_reference.kl = KlEstimator::kK1;
  PolicyLossInput without = p.input;
  without.reference_logprobs.reset();
  EXPECT_THROW(policy_loss(p.hidden, p.weight, without, needs_reference), Error);
}

TEST(CrossEntropyLoss, MatchesNllLoss) {
  Problem p = make_problem(at::kDouble, false);
  const at::Tensor loss =
      cross_entropy_loss(p.hidden, p.weight, p.input.targets, p.input.weights, 5);
  const at::Tensor expected = -(at::log_softmax(p.hidden.matmul(p.weight.t()), 1)
                                    .gather(1, p.input.targets.unsqueeze(1))
                                    .squeeze(1) *
                                p.input.weights)
                                   .sum();
  EXPECT_NEAR(loss.item<double>(), expected.item<double>(), 1e-12);
  const auto got = torch::autograd::grad({loss}, {p.hidden, p.weight});
  const auto want = torch::autograd::grad({expected}, {p.hidden, p.weight});
  for (int i = 0; i < 2; ++i) EXPECT_LT((got[i] - want[i]).abs().max().item<double>(), 1e-12);
}

TEST(TokenLogprobs, MatchLogSoftmaxAtATemperature) {
  Problem p = make_problem(at::kDouble, false);
  at::Tensor entropy;
  const at::Tensor logprobs = token_logprobs(p.hidden, p.weight, p.input.targets, 0.7, 5, &entropy);
  const at::Tensor log_probs = at::log_softmax(p.hidden.matmul(p.weight.t()) / 0.7, 1).detach();
  EXPECT_LT((logprobs - log_probs.gather(1, p.input.targets.unsqueeze(1)).squeeze(1))
                .abs()
                .max()
                .item<double>(),
            1e-13);
  EXPECT_LT((entropy + (log_probs.exp() * log_probs).sum(1)).abs().max().item<double>(), 1e-13);
}

}  // namespace
}  // namespace caprl::ops
