// The loss head against autograd and finite differences in fp64.
#include "caprl/core/error.h"
#include "policy_loss_problem.h"

namespace caprl::ops {
namespace {

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
    for (const auto kl : kEstimators)
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

TEST(PolicyLoss, MatchesFiniteDifferencesForEveryEstimator) {
  const double h = 1e-6;
  for (const bool with_old : {false, true})
    for (const auto kl : kEstimators)
      for (const double entropy : {0.0, 0.05}) {
        SCOPED_TRACE(testing::Message() << "old " << with_old << " kl " << static_cast<int>(kl)
                                        << " entropy " << entropy);
        Problem p = make_problem(at::kDouble, with_old);
        // Without old log-probabilities the loss's value does not show its gradient.
        PolicyLossInput shown = p.input;
        if (!with_old)
          shown.old_logprobs = token_logprobs(p.hidden, p.weight, p.input.targets, 0.8);
        PolicyLossOptions options;
        options.temperature = 0.8;
        options.kl = kl;
        options.kl_coef = 0.3;
        options.entropy_coeff = entropy;
        const auto gradients = torch::autograd::grad(
            {policy_loss(p.hidden, p.weight, p.input, options).loss}, {p.hidden, p.weight});
        at::NoGradGuard no_grad;
        for (int which = 0; which < 2; ++which) {
          const at::Tensor origin = (which ? p.weight : p.hidden).detach();
          at::Tensor slopes = at::empty_like(origin);
          for (int64_t i = 0; i < origin.numel(); ++i) {
            const auto loss_at = [&](double offset) {
              at::Tensor moved = origin.clone();
              moved.view(-1)[i] += offset;
              return policy_loss(which ? p.hidden : moved, which ? moved : p.weight, shown, options)
                  .loss.item<double>();
            };
            slopes.view(-1)[i].fill_((loss_at(h) - loss_at(-h)) / (2 * h));
          }
          EXPECT_LT((slopes - gradients[which]).abs().max().item<double>(), 2e-7)
              << (which ? "weight" : "hidden");
        }
      }
}

TEST(PolicyLoss, ChunksChangeResultsByRoundingOnly) {
  const auto run = [](at::ScalarType dtype, int64_t chunk) {
    Problem p = make_problem(dtype, true);
    PolicyLossOptions options;
    options.kl = KlEstimator::kK3;
    options.kl_coef = 0.3;
    options.entropy_coeff = 0.05;
    options.chunk_tokens = chunk;
    const auto result = policy_loss(p.hidden, p.weight, p.input, options);
    auto all = torch::autograd::grad({result.loss}, {p.hidden, p.weight});
    for (const at::Tensor& t :
         {result.loss, result.logprobs, result.entropy, result.ratio, result.clipped, result.kl})
      all.push_back(t.detach());
    return all;
  };
  for (const auto& [dtype, tolerance] :
       {std::pair{at::kDouble, 1e-13}, {at::kFloat, 1e-5}, {at::kBFloat16, 2e-2}}) {
    const auto whole = run(dtype, kRows);
    for (const int64_t chunk : {1, 5, 7, 1000}) {
      const auto parts = run(dtype, chunk);
      for (size_t i = 0; i < whole.size(); ++i)
        EXPECT_TRUE(
            at::allclose(parts[i].to(at::kDouble), whole[i].to(at::kDouble), tolerance, tolerance))
            << "result " << i << " of " << dtype << " in chunks of " << chunk;
    }
  }
}

TEST(PolicyLoss, LogitsOfBfloat16ModelsAreNotRounded) {
  Problem p = make_problem(at::kBFloat16, false, 20.0);  // logits up to about 100
  const at::Tensor exact =
      at::log_softmax(p.hidden.to(at::kDouble).matmul(p.weight.to(at::kDouble).t()), 1)
          .gather(1, p.input.targets.unsqueeze(1))
          .squeeze(1);
  const at::Tensor got = policy_loss(p.hidden, p.weight, p.input, {}).logprobs;
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  EXPECT_LT((got.to(at::kDouble) - exact).abs().max().item<double>(), 1e-4);
}

TEST(PolicyLoss, Float32AndBfloat16WithinTheirRounding) {
  PolicyLossOptions options;
  options.kl = KlEstimator::kK3;
  options.kl_coef = 0.3;
  expect_matches_reference(make_problem(at::kFloat, true), options, 2e-5);
  expect_matches_reference(make_problem(at::kBFloat16, true), options, 3e-2);
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

/// The head's gradient goes where the caller sums it, as autograd would have given it.
TEST(PolicyLoss, HeadGradientIsAddedInPlace) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    Problem p = make_problem(dtype, true);
    policy_loss(p.hidden, p.weight, p.input, {}).loss.backward();
    const at::Tensor d_hidden = p.hidden.grad().clone(), d_weight = p.weight.grad().clone();
    p.hidden.mutable_grad().reset();
    p.weight.mutable_grad().reset();

    const auto real = dtype == at::kDouble ? at::kDouble : at::kFloat;
    const at::Tensor before = at::ones(p.weight.sizes(), real);
    const at::Tensor sum = before.clone();
    policy_loss(p.hidden, p.weight, p.input, {}, sum).loss.backward();
    EXPECT_TRUE(at::equal(p.hidden.grad(), d_hidden));
    EXPECT_FALSE(p.weight.grad().defined());
    const double rounding = dtype == at::kBFloat16 ? 0x1p-8 : 1e-6;
    EXPECT_TRUE(at::allclose(sum - before, d_weight.to(real), rounding, 1e-6)) << dtype;
  }
}

TEST(PolicyLoss, HeadGradientsContract) {
  Problem p = make_problem(at::kBFloat16, false);
  const auto loss = [&](const at::Tensor& sum) {
    return policy_loss(p.hidden, p.weight, p.input, {}, sum).loss;
  };
  EXPECT_THROW(loss(at::zeros(p.weight.sizes(), at::kBFloat16)), Error);
  EXPECT_THROW(loss(at::zeros({kHidden, kVocab}, at::kFloat)), Error);
  EXPECT_THROW(loss(at::zeros({kHidden, kVocab}, at::kFloat).t()), Error);
  // Added already, so it cannot be scaled any more.
  EXPECT_THROW((loss(at::zeros(p.weight.sizes(), at::kFloat)) * 2).backward(), Error);
}

TEST(PolicyLoss, RoundedLogitsOfBfloat16) {
  Problem p = make_problem(at::kBFloat16, false);
  PolicyLossOptions options;
  const at::Tensor exact = policy_loss(p.hidden, p.weight, p.input, options).logprobs;
  options.logits_dtype = at::kBFloat16;
  const at::Tensor rounded = policy_loss(p.hidden, p.weight, p.input, options).logprobs;
  const at::Tensor logits = p.hidden.detach()
                                .to(at::kFloat)
                                .matmul(p.weight.detach().to(at::kFloat).t())
                                .to(at::kBFloat16);
  const at::Tensor expected =
      at::log_softmax(logits.to(at::kFloat), 1).gather(1, p.input.targets.unsqueeze(1)).squeeze(1);
  EXPECT_TRUE(at::allclose(rounded, expected, 1e-5, 1e-6));
  EXPECT_FALSE(at::allclose(rounded, exact, 1e-5, 1e-6));
  options.logits_dtype = at::kHalf;
  EXPECT_THROW(policy_loss(p.hidden, p.weight, p.input, options), Error);
}

}  // namespace
}  // namespace caprl::ops
