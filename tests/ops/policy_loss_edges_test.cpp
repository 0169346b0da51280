// The loss head where groups are unanimous, rows are masked, inputs are empty, extreme or wrong.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "caprl/core/error.h"
#include "policy_loss_problem.h"

namespace caprl::ops {
namespace {

using testing::HasSubstr;

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

TEST(PolicyLoss, NanOfAScoredRowReachesTheGradients) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const bool with_old : {false, true})
    for (const char* where : {"hidden", "advantages", "reference"}) {
      SCOPED_TRACE(testing::Message() << where << ", old " << with_old);
      Problem p = make_problem(at::kFloat, with_old);
      PolicyLossOptions options;
      options.kl = KlEstimator::kK1;
      options.kl_coef = 0.3;
      {
        at::NoGradGuard no_grad;
        if (where[0] == 'h') p.hidden[5][2].fill_(nan);
        if (where[0] == 'a') p.input.advantages[5].fill_(nan);
        if (where[0] == 'r') p.input.reference_logprobs[5].fill_(nan);
      }
      const auto result = policy_loss(p.hidden, p.weight, p.input, options);
      EXPECT_TRUE(std::isnan(result.loss.item<double>()));
      const auto gradients = torch::autograd::grad({result.loss}, {p.hidden, p.weight});
      EXPECT_TRUE(gradients[0][5].isnan().any().item<bool>());
      EXPECT_TRUE(gradients[1].isnan().any().item<bool>());
      EXPECT_FALSE(gradients[0][4].isnan().any().item<bool>());
    }
}

TEST(PolicyLoss, NanOfAMaskedRowsHiddenStateStaysThere) {
  Problem p = make_problem(at::kDouble, true);
  {
    at::NoGradGuard no_grad;
    p.hidden[3].fill_(std::numeric_limits<double>::quiet_NaN());
  }
  PolicyLossOptions options;
  options.entropy_coeff = 0.1;
  const auto result = policy_loss(p.hidden, p.weight, p.input, options);
  EXPECT_TRUE(std::isfinite(result.loss.item<double>()));
  for (const at::Tensor& gradient : torch::autograd::grad({result.loss}, {p.hidden, p.weight}))
    EXPECT_TRUE(gradient.isfinite().all().item<bool>());
  const at::Tensor cross_entropy =
      cross_entropy_loss(p.hidden, p.weight, p.input.targets, p.input.weights, 5);
  EXPECT_TRUE(std::isfinite(cross_entropy.item<double>()));
}

TEST(PolicyLoss, NoRowsGiveAZeroLossWithGradients) {
  Problem p = make_problem(at::kFloat, false);
  const at::Tensor hidden = p.hidden.detach().slice(0, 0, 0).requires_grad_();
  const at::Tensor none = at::empty({0}), no_targets = at::empty({0}, at::kLong);
  PolicyLossOptions options;
  options.kl = KlEstimator::kK3;
  const auto result = policy_loss(hidden, p.weight, {no_targets, none, none, none, none}, options);
  EXPECT_EQ(result.loss.item<double>(), 0.0);
  EXPECT_EQ(result.logprobs.numel() + result.entropy.numel() + result.ratio.numel() +
                result.clipped.numel() + result.kl.numel(),
            0);
  result.loss.backward();
  EXPECT_TRUE(p.weight.grad().eq(0).all().item<bool>());
  EXPECT_EQ(hidden.grad().numel(), 0);
  EXPECT_EQ(cross_entropy_loss(hidden, p.weight, no_targets, none, 4).item<double>(), 0.0);
  EXPECT_EQ(token_logprobs(hidden, p.weight, no_targets, 1.0).numel(), 0);
}

TEST(PolicyLoss, ExtremeLogitsMatchDouble) {
  // Logits of ±1e4: one token of a row is certain, the others are impossible.
  const at::Tensor weight = at::eye(4).requires_grad_();
  const at::Tensor hidden = (at::eye(4) * 2e4 - 1e4).requires_grad_();
  PolicyLossInput input{at::tensor({0, 1, 0, 3}, at::kLong),
                        at::tensor({1.f, -1.f, 1.f, -1.f}),
                        at::full({4}, 0.25),
                        {},
                        at::tensor({-2e4f, 0.f, 0.f, -1e4f})};
  PolicyLossOptions options;
  options.kl = KlEstimator::kK2;
  options.kl_coef = 1e-8;
  options.entropy_coeff = 0.1;
  for (const double temperature : {1.0, 0.1}) {
    options.temperature = temperature;
    const auto result = policy_loss(hidden, weight, input, options);
    const float impossible = static_cast<float>(-2e4 / temperature);
    EXPECT_TRUE(at::equal(result.logprobs, at::tensor({0.f, 0.f, impossible, 0.f})));
    EXPECT_TRUE(result.entropy.eq(0).all().item<bool>());
    const at::Tensor wide = hidden.detach().to(at::kDouble).requires_grad_();
    const at::Tensor expected =
        reference_loss(wide, weight.detach().to(at::kDouble), input, options);
    EXPECT_NEAR(result.loss.item<double>(), expected.item<double>(), 1e-6);
    const at::Tensor got = torch::autograd::grad({result.loss}, {hidden})[0];
    const at::Tensor want = torch::autograd::grad({expected}, {wide})[0];
    EXPECT_LT((got - want).abs().max().item<double>(), 1e-6);
    EXPECT_GT(want[2].abs().max().item<double>(), 0.1);
  }
}

TEST(PolicyLoss, RunsWithoutGradients) {
  Problem p = make_problem(at::kDouble, true);
  const auto with = policy_loss(p.hidden, p.weight, p.input, {});
  at::NoGradGuard no_grad;
  const auto without = policy_loss(p.hidden, p.weight, p.input, {});
  EXPECT_FALSE(without.loss.requires_grad());
  EXPECT_EQ(without.loss.item<double>(), with.loss.item<double>());
}

TEST(PolicyLoss, BackwardRunsOnce) {
  Problem p = make_problem(at::kFloat, false);
  const auto result = policy_loss(p.hidden, p.weight, p.input, {});
  result.loss.backward({}, /*retain_graph=*/true);
  EXPECT_THROW(result.loss.backward(), Error);
}

template <class Change>
std::string refusal(Change change) {
  Problem p = make_problem(at::kFloat, true);
  PolicyLossOptions options;
  change(p, options);
  try {
    policy_loss(p.hidden, p.weight, p.input, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "(accepted)";
}

TEST(PolicyLoss, RefusesWhatBreaksItsContract) {
  using P = Problem&;
  using O = PolicyLossOptions&;
  EXPECT_EQ(refusal([](P p, O) { p.input.targets[2].fill_(kVocab); }),
            "[policy_loss] expected targets from 0 to 8, got 0 to 9");
  EXPECT_THAT(refusal([](P p, O) { p.input.targets[2].fill_(-1); }), HasSubstr("got -1 to 8"));
  EXPECT_THAT(refusal([](P p, O) { p.input.targets = p.input.targets.to(at::kInt); }),
              HasSubstr("12 int64 targets"));
  EXPECT_THAT(refusal([](P p, O) { p.weight = p.weight.to(at::kDouble); }),
              HasSubstr("got Float and Double"));
  EXPECT_THAT(refusal([](P p, O) {
                p.weight = at::ones({kVocab, kHidden + 1});
              }),
              HasSubstr("got [12, 5] and [9, 6]"));
  EXPECT_EQ(refusal([](P p, O) { p.input.weights = at::ones({kRows - 1}); }),
            "[policy_loss] expected 12 weights of floating point, got [11] of Float");
  EXPECT_THAT(refusal([](P p, O) { p.input.advantages.reset(); }),
              HasSubstr("expected 12 advantages of floating point, got none"));
  EXPECT_THAT(refusal([](P p, O) {
                p.input.old_logprobs = at::ones({kRows, 1});
              }),
              HasSubstr("old log-probabilities"));
  EXPECT_THAT(refusal([](P p, O) { p.input.reference_logprobs = at::ones({kRows}, at::kLong); }),
              HasSubstr("got [12] of Long"));
  EXPECT_THAT(refusal([](P p, O o) {
                o.kl = KlEstimator::kK1;
                p.input.reference_logprobs.reset();
              }),
              HasSubstr("expected 12 reference log-probabilities"));
  EXPECT_THAT(refusal([](P, O o) { o.temperature = 0; }), HasSubstr("temperature"));
  EXPECT_THAT(refusal([](P, O o) { o.chunk_tokens = 0; }), HasSubstr("at least 1 token"));
  EXPECT_THAT(refusal([](P, O o) { o.clip_ratio_c = 0.5; }), HasSubstr("clip_ratio_c of 0 (off)"));
}

}  // namespace
}  // namespace caprl::ops
