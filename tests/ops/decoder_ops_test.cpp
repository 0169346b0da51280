// The ops of a decoder layer against their formulas, written out, and their gradients against
// finite differences.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "caprl/ops/rms_norm.h"
#include "caprl/ops/rotary.h"
#include "caprl/ops/swiglu.h"

namespace caprl::ops {
namespace {

at::Tensor values(at::IntArrayRef shape, double phase) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return at::arange(count, at::kDouble).mul(0.9).add(phase).sin().mul(1.5).view(shape);
}

double weighted_sum(const at::Tensor& out) {
  return (out.detach() * values(out.sizes(), 0.3)).sum().item<double>();
}

/// Central differences of every element of every input against autograd.
void check_gradients(const std::function<at::Tensor(const std::vector<at::Tensor>&)>& op,
                     std::vector<at::Tensor> inputs) {
  for (at::Tensor& input : inputs) input = input.detach().clone().set_requires_grad(true);
  const at::Tensor out = op(inputs);
  torch::autograd::backward({(out * values(out.sizes(), 0.3)).sum()}, {});
  constexpr double kStep = 1e-5;
  for (const at::Tensor& input : inputs) {
    const at::Tensor flat = input.detach().view({-1});
    const at::Tensor gradient =
        input.grad().defined() ? input.grad().reshape({-1}) : at::zeros_like(flat);
    for (int64_t i = 0; i < flat.numel(); ++i) {
      double* element = flat.mutable_data_ptr<double>() + i;
      const double before = *element;
      *element = before + kStep;
      const double up = weighted_sum(op(inputs));
      *element = before - kStep;
      const double down = weighted_sum(op(inputs));
      *element = before;
      EXPECT_NEAR(gradient[i].item<double>(), (up - down) / (2 * kStep), 1e-8) << "element " << i;
    }
  }
}

TEST(RmsNorm, Formula) {
  const at::Tensor x = values({3, 4}, 0), weight = values({4}, 1);
  const at::Tensor out = rms_norm(x, weight, 0.01);
  for (int64_t row = 0; row < 3; ++row) {
    double squares = 0;
    for (int64_t j = 0; j < 4; ++j) squares += std::pow(x[row][j].item<double>(), 2);
    for (int64_t j = 0; j < 4; ++j)
      EXPECT_NEAR(
          out[row][j].item<double>(),
          weight[j].item<double>() * x[row][j].item<double>() / std::sqrt(squares / 4 + 0.01),
          1e-14);
  }
}

TEST(RmsNorm, Gradients) {
  check_gradients([](const auto& in) { return rms_norm(in[0], in[1], 0.01); },
                  {values({3, 4}, 0), values({4}, 1)});
  check_gradients([](const auto& in) { return rms_norm(in[0], in[1], 0.01); },
                  {values({2, 2, 6}, 0), values({6}, 1)});
}

TEST(RmsNorm, Bfloat16RoundsBeforeTheWeight) {
  const at::Tensor x = values({5, 8}, 0).to(at::kBFloat16),
                   weight = values({8}, 1).to(at::kBFloat16);
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor want =
      weight * (wide * at::rsqrt(wide.pow(2).mean(-1, true) + 1e-6)).to(at::kBFloat16);
  EXPECT_TRUE(at::equal(rms_norm(x, weight, 1e-6), want));
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::equal(rms_norm(x, weight, 1e-6), want));
}

TEST(RmsNorm, AfterAnAddition) {
  const at::Tensor residual = values({3, 4}, 0), delta = values({3, 4}, 1), weight = values({4}, 2);
  const auto [sum, normed] = add_rms_norm(residual, delta, weight, 0.01);
  EXPECT_TRUE(at::equal(sum, residual + delta));
  EXPECT_TRUE(at::equal(normed, rms_norm(sum, weight, 0.01)));
  const auto both = [](const auto& in) {
    const auto [sum, normed] = add_rms_norm(in[0], in[1], in[2], 0.01);
    return normed + 2 * sum.square();
  };
  check_gradients(both, {residual, delta, weight});
  // Only one of the two results is used.
  check_gradients(
      [](const auto& in) { return std::get<0>(add_rms_norm(in[0], in[1], in[2], 0.01)); },
      {residual, delta, weight});
  check_gradients(
      [](const auto& in) { return std::get<1>(add_rms_norm(in[0], in[1], in[2], 0.01)); },
      {residual, delta, weight});
  EXPECT_THROW(add_rms_norm(residual, values({4, 4}, 1), weight, 0.01), c10::Error);
}

TEST(RmsNorm, Contract) {
  EXPECT_THROW(rms_norm(at::ones({2, 4}), at::ones({3}), 1e-6), c10::Error);
  EXPECT_THROW(rms_norm(at::ones({2, 4}), at::ones({4}, at::kDouble), 1e-6), c10::Error);
}

/// Of queries; keys are turned likewise, and as a gradient of theirs shows, independently.
at::Tensor rotate(const at::Tensor& x, const RotaryTable& table) {
  const auto [q, k] = rotate(x, x.detach().narrow(1, 0, 1) + 1, table);
  const auto [other_k, other_q] = rotate(x.detach().narrow(1, 0, 1) + 1, x, table);
  EXPECT_TRUE(at::equal(q, other_q) && at::equal(k, other_k));
  return q;
}

RotaryTable table_of(const at::Tensor& angles) { return {angles.cos(), angles.sin()}; }

TEST(Rotary, TurnsPairsOfHalves) {
  const at::Tensor x = values({3, 2, 6}, 0), angles = values({3, 3}, 2);
  const at::Tensor out = rotate(x, table_of(angles));
  for (int64_t n = 0; n < 3; ++n)
    for (int64_t head = 0; head < 2; ++head)
      for (int64_t j = 0; j < 3; ++j) {
        const double a = x[n][head][j].item<double>(), b = x[n][head][j + 3].item<double>();
        const double angle = angles[n][j].item<double>();
        EXPECT_NEAR(out[n][head][j].item<double>(), a * std::cos(angle) - b * std::sin(angle),
                    1e-14);
        EXPECT_NEAR(out[n][head][j + 3].item<double>(), b * std::cos(angle) + a * std::sin(angle),
                    1e-14);
      }
}

TEST(Rotary, Gradients) {
  const RotaryTable table = table_of(values({2, 2}, 2));
  check_gradients(
      [&](const auto& in) {
        const auto [q, k] = rotate(in[0], in[1], table);
        return q.sum(1) + 2 * k.square().sum(1);
      },
      {values({2, 3, 4}, 0), values({2, 1, 4}, 1)});
}

TEST(Rotary, ComputesInTheTablesDtype) {
  const at::Tensor x = values({4, 2, 8}, 0).to(at::kBFloat16);
  const at::Tensor angles = values({4, 4}, 2).to(at::kFloat);
  const at::Tensor out = rotate(x, table_of(angles));
  EXPECT_EQ(out.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(out, rotate(x.to(at::kFloat), table_of(angles)).to(at::kBFloat16)));
}

TEST(Rotary, Frequencies) {
  const at::Tensor frequencies = inverse_frequencies(8, 10'000.0, at::kDouble);
  for (int64_t k = 0; k < 4; ++k)
    EXPECT_NEAR(frequencies[k].item<double>(), std::pow(10'000.0, -2.0 * k / 8), 1e-15);
}

TEST(Rotary, Contract) {
  EXPECT_THROW(rotate(at::ones({2, 1, 4}), table_of(at::ones({3, 2}))), c10::Error);
  EXPECT_THROW(rotate(at::ones({2, 1, 4}), table_of(at::ones({2, 4}))), c10::Error);
}

TEST(SwiGlu, FormulaAndGradients) {
  const at::Tensor gate = values({3, 5}, 0), up = values({3, 5}, 1);
  const at::Tensor want = gate / (1 + (-gate).exp()) * up;
  EXPECT_LT((swiglu(gate, up) - want).abs().max().item<double>(), 1e-15);
  check_gradients([](const auto& in) { return swiglu(in[0], in[1]); }, {gate, up});
  EXPECT_THROW(swiglu(gate, at::ones({3, 4})), c10::Error);
}

}  // namespace
}  // namespace caprl::ops
