#include "caprl/train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "caprl/core/error.h"

namespace caprl {
namespace {

Parameters make_parameters(at::ScalarType dtype) {
  Parameters parameters({{"matrix", {2, 3}}, {"frozen", {4}}, {"bias", {3}}}, dtype, at::kCPU,
                        [](const std::string& name) { return name != "frozen"; });
  at::NoGradGuard no_grad;
  parameters.trainable_buffer().detach().copy_(at::arange(1, 10, at::kFloat).div(8));
  parameters.frozen_buffer().fill_(7);
  return parameters;
}

OptimizerConfig plain() {
  OptimizerConfig config;
  config.betas = {0.9, 0.95};
  config.weight_decay = 0.1;
  config.clip_grad = 0;
  return config;
}

/// AdamW written out for one number, in double.
struct ScalarAdamW {
  double weight, m = 0, v = 0;
  int t = 0;
  void step(double gradient, double lr, double decay) {
    ++t;
    weight *= 1 - lr * decay;
    m = 0.9 * m + 0.1 * gradient;
    v = 0.95 * v + 0.05 * gradient * gradient;
    const double m_hat = m / (1 - std::pow(0.9, t)), v_hat = v / (1 - std::pow(0.95, t));
    weight -= lr * m_hat / (std::sqrt(v_hat) + 1e-8);
  }
};

/// loss = Σ weight³ / 3, so that the gradient is weight².
void backward(const Parameters& parameters) {
  at::Tensor loss = parameters.get("matrix").pow(3).sum() + parameters.get("bias").pow(3).sum();
  loss.div(3).backward();
}

TEST(AdamW, MatchesTheFormulaInDouble) {
  Parameters parameters = make_parameters(at::kDouble);
  AdamW optimizer(parameters, plain());
  std::vector<ScalarAdamW> expected;
  for (int i = 0; i < 9; ++i) expected.push_back({(i + 1) / 8.0});
  for (int step = 0; step < 5; ++step) {
    optimizer.zero_grad();
    backward(parameters);
    optimizer.step(0.01, optimizer.grad_norm());
    for (int i = 0; i < 9; ++i)
      expected[i].step(expected[i].weight * expected[i].weight, 0.01, i < 6 ? 0.1 : 0);
  }
  const at::Tensor weights = parameters.trainable_buffer().detach();
  for (int i = 0; i < 9; ++i)
    EXPECT_NEAR(weights[i].item<double>(), expected[i].weight, 1e-14) << i;
  EXPECT_TRUE(parameters.frozen_buffer().eq(7).all().item<bool>());
}

TEST(AdamW, GradientsAccumulateInPlaceOverBackwardPasses) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    Parameters parameters = make_parameters(dtype);
    AdamW optimizer(parameters, plain());
    backward(parameters);
    const at::Tensor once = optimizer.gradient().clone();
    EXPECT_GT(once.abs().min().item<double>(), 0);
    backward(parameters);
    EXPECT_TRUE(at::allclose(optimizer.gradient(), 2 * once));
    EXPECT_EQ(optimizer.gradient().scalar_type(), at::kFloat);
    optimizer.zero_grad();
    EXPECT_EQ(optimizer.grad_norm(), 0.0);
    backward(parameters);
    EXPECT_TRUE(at::equal(optimizer.gradient(), once));
  }
}

TEST(AdamW, MasterWeightsKeepUpdatesThatBfloat16WouldLose) {
  Parameters parameters = make_parameters(at::kBFloat16);
  OptimizerConfig config = plain();
  config.weight_decay = 0;
  AdamW optimizer(parameters, config);
  const at::Tensor before = parameters.trainable_buffer().detach().clone();
  for (int step = 0; step < 100; ++step) {
    optimizer.zero_grad();
    backward(parameters);
    optimizer.step(1e-4, optimizer.grad_norm());
  }
  // A step of 1e-4 is below bfloat16's spacing around 1 (0.0078); a hundred of them are not.
  const at::Tensor moved = (before - parameters.trainable_buffer().detach()).to(at::kFloat);
  EXPECT_NEAR(moved[7].item<double>(), 0.01, 0.004);
}

TEST(AdamW, ClipsTheGlobalNorm) {
  Parameters parameters = make_parameters(at::kFloat);
  OptimizerConfig config = plain();
  config.clip_grad = 0.5;
  AdamW optimizer(parameters, config);
  backward(parameters);
  const double norm = optimizer.grad_norm();
  EXPECT_NEAR(norm, optimizer.gradient().to(at::kDouble).norm().item<double>(), 1e-6);
  optimizer.step(0.01, norm);
  EXPECT_NEAR(optimizer.grad_norm(), 0.5, 1e-5);
}

TEST(AdamW, NormOfANonFiniteGradientIsNotFinite) {
  Parameters parameters = make_parameters(at::kFloat);
  AdamW optimizer(parameters, plain());
  optimizer.gradient()[3].fill_(std::nan(""));
  EXPECT_FALSE(std::isfinite(optimizer.grad_norm()));
}

TEST(AdamW, RestoredStateContinuesBitForBit) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto train = [&](Parameters& parameters, AdamW& optimizer, int steps) {
      for (int i = 0; i < steps; ++i) {
        optimizer.zero_grad();
        backward(parameters);
        optimizer.step(0.01, optimizer.grad_norm());
      }
    };
    Parameters whole = make_parameters(dtype);
    AdamW whole_optimizer(whole, plain());
    train(whole, whole_optimizer, 7);

    Parameters first = make_parameters(dtype);
    AdamW first_optimizer(first, plain());
    train(first, first_optimizer, 3);
    NamedTensors saved;
    for (const auto& [name, tensor] : first_optimizer.state())
      saved.emplace_back(name, tensor.clone());
    Parameters second = make_parameters(dtype);
    AdamW second_optimizer(second, plain());
    second_optimizer.load_state(saved);
    {
      at::NoGradGuard no_grad;
      second.trainable_buffer().detach().copy_(first.trainable_buffer());
    }
    train(second, second_optimizer, 4);
    EXPECT_TRUE(at::equal(whole.trainable_buffer(), second.trainable_buffer()));

    saved.pop_back();
    EXPECT_THROW(second_optimizer.load_state(saved), InputError);
  }
}

}  // namespace
}  // namespace caprl
