// Linear layers with adapters beside the formula written out.
#include "caprl/ops/low_rank.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include "caprl/ops/feed_forward.h"

namespace caprl::ops {
namespace {

using Tensors = std::vector<at::Tensor>;

/// x, W, bias, A, B.
Tensors inputs(at::ScalarType dtype) {
  at::manual_seed(5);
  Tensors all;
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{5, 24}, {17, 24}, {17}, {3, 24}, {17, 3}})
    all.push_back(at::randn(shape).to(dtype));
  return all;
}

LinearWeights weights(const Tensors& in, double scale = 1.25) {
  return {in[1], in[2], {in[3], in[4], scale}};
}

at::Tensor formula(const Tensors& in) {
  return in[0].matmul(in[1].t()) + in[2] + 1.25 * in[0].matmul(in[3].t()).matmul(in[4].t());
}

TEST(LowRank, IsItsFormulaWithItsGradients) {
  Tensors one = inputs(at::kDouble), other = inputs(at::kDouble);
  for (Tensors* in : {&one, &other})
    for (at::Tensor& t : *in) t.requires_grad_();
  const at::Tensor got = linear(one[0], weights(one)), want = formula(other);
  EXPECT_TRUE(at::allclose(got, want, 0, 1e-12));
  got.sin().sum().backward();
  want.sin().sum().backward();
  for (size_t i = 0; i < one.size(); ++i)
    EXPECT_TRUE(at::allclose(one[i].grad(), other[i].grad(), 0, 1e-11)) << "input " << i;
}

TEST(LowRank, EveryWayOfRunningIsNearIt) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-6}, {at::kBFloat16, 0x1p-6}}) {
    const Tensors in = inputs(dtype);
    Tensors exact;
    for (const at::Tensor& t : in) exact.push_back(t.to(at::kDouble));
    const at::Tensor want = formula(exact);
    const double most = tolerance * want.abs().max().item<double>();
    for (const RowBits bits : {RowBits::kFixed, RowBits::kAny}) {
      const auto error = [&] {
        return (linear(in[0], weights(in), bits).to(at::kDouble) - want).abs().max().item<double>();
      };
      const at::NoGradGuard no_grad;
      EXPECT_LE(error(), most);
      const c10::InferenceMode inference;
      EXPECT_LE(error(), most);
    }
  }
}

TEST(LowRank, ARowsBitsDoNotDependOnTheOthers) {
  const c10::InferenceMode inference;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Tensors in = inputs(dtype);
    const at::Tensor all = linear(in[0], weights(in));
    for (int64_t row = 0; row < 5; ++row)
      EXPECT_TRUE(at::equal(linear(in[0].narrow(0, row, 1), weights(in)), all.narrow(0, row, 1)));
  }
}

TEST(LowRank, OffIsTheBaseBitForBit) {
  const Tensors in = inputs(at::kFloat);
  const LinearWeights base{in[1], in[2]};
  const auto layer = [&](const LinearWeights& inner) {
    const LinearWeights down{in[1].t().contiguous(), in[0][0]};
    return feed_forward(in[0], {inner, inner, down});
  };
  const at::Tensor adapted = linear(in[0], weights(in)), fed = layer(weights(in));
  {
    const AdaptersOff off;
    EXPECT_TRUE(at::equal(linear(in[0], weights(in)), linear(in[0], base)));
    EXPECT_TRUE(at::equal(layer(weights(in)), layer(base)));
    { const AdaptersOff nested; }
    EXPECT_TRUE(AdaptersOff::here());
  }
  EXPECT_FALSE(AdaptersOff::here());
  EXPECT_TRUE(at::equal(linear(in[0], weights(in)), adapted));
  EXPECT_FALSE(at::equal(adapted, linear(in[0], base)));
  EXPECT_TRUE(at::equal(layer(weights(in)), fed));
  EXPECT_FALSE(at::equal(fed, layer(base)));
}

TEST(LowRank, RefusesAdaptersThatDoNotFit) {
  const Tensors in = inputs(at::kFloat);
  const auto run = [&](const at::Tensor& a, const at::Tensor& b) {
    linear(in[0], {in[1], in[2], {a, b, 1}});
  };
  EXPECT_THROW(run(in[4], in[3]), c10::Error);
  EXPECT_THROW(run(in[3], in[4].narrow(1, 0, 2)), c10::Error);
  EXPECT_THROW(run(in[3].to(at::kDouble), in[4]), c10::Error);
}

}  // namespace
}  // namespace caprl::ops
