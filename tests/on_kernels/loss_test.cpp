// The loss head on kernels beside the composed one in double precision.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "caprl/ops/policy_loss.h"
#include "on_kernels/switch.h"

namespace caprl::ops {
namespace {

struct Problem {
  at::Tensor hidden, weight;
  PolicyLossInput input;
};

/// Rows with and without advantage, weight, old and reference log-probabilities near their own.
Problem make_problem(at::ScalarType dtype, int64_t vocab, bool with_old) {
  at::manual_seed(11);
  constexpr int64_t kRows = 23, kHidden = 16;
  Problem p;
  p.hidden = at::randn({kRows, kHidden}).to(dtype).requires_grad_();
  p.weight = (at::randn({vocab, kHidden}) * 0.5).to(dtype).requires_grad_();
  p.input.targets = at::randint(vocab, {kRows}, at::kLong);
  p.input.advantages = at::randn({kRows});
  p.input.weights = at::rand({kRows}) + 0.1;
  for (const int64_t row : {0, 7, 8, 22}) p.input.advantages[row].fill_(0);
  for (const int64_t row : {3, 8}) p.input.weights[row].fill_(0);
  const at::Tensor own = token_logprobs(p.hidden, p.weight, p.input.targets, 1.0);
  p.input.reference_logprobs = own + 0.4 * at::randn({kRows});
  if (with_old) p.input.old_logprobs = own + 0.4 * at::randn({kRows});
  return p;
}

struct Outcome {
  PolicyLossResult result;
  at::Tensor d_hidden, d_weight;
};

Problem here(const Problem& p) {
  using caprl::here;
  return {here(p.hidden),
          here(p.weight),
          {here(p.input.targets), here(p.input.advantages), here(p.input.weights),
           here(p.input.old_logprobs), here(p.input.reference_logprobs)}};
}

Outcome run(const Problem& given, const PolicyLossOptions& options) {
  const Problem p = here(given);
  Outcome outcome;
  const auto real = p.weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  outcome.d_weight =
      at::zeros(p.weight.sizes(), p.weight.options().requires_grad(false).dtype(real));
  outcome.result = policy_loss(p.hidden, p.weight, p.input, options, outcome.d_weight);
  outcome.result.loss.backward();
  outcome.d_hidden = p.hidden.grad().clone();
  return outcome;
}

Problem widened(const Problem& p) {
  Problem wide = p;
  wide.hidden = p.hidden.detach().to(at::kDouble).requires_grad_();
  wide.weight = p.weight.detach().to(at::kDouble).requires_grad_();
  return wide;
}

void expect_close(const at::Tensor& got, const at::Tensor& expected, double tolerance,
                  const char* what) {
  const at::Tensor one = got.detach().to(at::kCPU, at::kDouble);
  const at::Tensor other = expected.detach().to(at::kCPU, at::kDouble);
  const double scale = std::max(1e-3, other.abs().max().item<double>());
  EXPECT_LE((one - other).abs().max().item<double>(), tolerance * scale) << what;
}

void compare(const Problem& p, const PolicyLossOptions& options, double tolerance,
             double gradient_tolerance) {
  const Outcome expected = run(widened(p), options);
  const OnKernels on;
  const Outcome got = run(p, options);
  expect_close(got.result.loss, expected.result.loss, tolerance, "loss");
  expect_close(got.result.logprobs, expected.result.logprobs, tolerance, "logprobs");
  expect_close(got.result.entropy, expected.result.entropy, tolerance, "entropy");
  expect_close(got.result.ratio, expected.result.ratio, tolerance, "ratio");
  expect_close(got.result.kl, expected.result.kl, tolerance, "kl");
  EXPECT_TRUE(at::equal(got.result.clipped.to(at::kCPU), expected.result.clipped));
  expect_close(got.d_hidden, expected.d_hidden, gradient_tolerance, "d_hidden");
  expect_close(got.d_weight, expected.d_weight, gradient_tolerance, "d_weight");
}

TEST(LossOnKernels, MatchesTheComposedLossInDouble) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const bool with_old : {false, true})
      for (const KlEstimator kl : {KlEstimator::kNone, KlEstimator::kK3})
        for (const double entropy : {0.0, 0.05})
          for (const int64_t vocab : {64, 61}) {
            const PolicyLossOptions options{.temperature = 0.8,
                                            .kl = kl,
                                            .kl_coef = 0.2,
                                            .entropy_coeff = entropy,
                                            .chunk_tokens = 9};
            const bool rounds = dtype == at::kBFloat16;
            compare(make_problem(dtype, vocab, with_old), options, 2e-5, rounds ? 0x1p-7 : 2e-5);
          }
}

TEST(LossOnKernels, RoundedLogits) {
  const PolicyLossOptions options{.chunk_tokens = 9, .logits_dtype = at::kBFloat16};
  const Problem p = make_problem(at::kBFloat16, 61, true);
  const auto [got, expected] = both_ways([&] { return run(p, options); });
  expect_close(got.result.logprobs, expected.result.logprobs, 1e-5, "logprobs");
  expect_close(got.d_hidden, expected.d_hidden, 0x1p-6, "d_hidden");
  expect_close(got.d_weight, expected.d_weight, 0x1p-6, "d_weight");
}

TEST(LossOnKernels, WithoutGradients) {
  const Problem p = make_problem(at::kBFloat16, 61, true);
  at::NoGradGuard no_grad;
  const auto [got, expected] = both_ways([&] {
    const Problem q = here(p);
    return policy_loss(q.hidden, q.weight, q.input, {});
  });
  expect_close(got.loss, expected.loss, 1e-5, "loss");
  expect_close(got.logprobs, expected.logprobs, 1e-5, "logprobs");
}

TEST(LossOnKernels, NoRows) {
  Problem p = make_problem(at::kFloat, 61, false);
  p.hidden = at::zeros({0, 16}).requires_grad_();
  const at::Tensor none = at::zeros({0});
  p.input = {at::zeros({0}, at::kLong), none, none, {}, {}};
  const OnKernels on;
  EXPECT_EQ(run(p, {}).result.loss.item<double>(), 0.0);
}

TEST(LossOnKernels, TokenLogprobs) {
  const Problem p = make_problem(at::kBFloat16, 61, false);
  const auto [got, expected] = both_ways([&] {
    const Problem q = here(p);
    at::Tensor entropy;
    const at::Tensor logprobs =
        token_logprobs(q.hidden, q.weight, q.input.targets, 0.7, 5, &entropy);
    return at::stack({logprobs, entropy});
  });
  expect_close(got, expected, 1e-5, "log-probabilities and entropy");
}

}  // namespace
}  // namespace caprl::ops
