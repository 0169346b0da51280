// The feed-forward layer beside its three products and what autograd makes of them.
#include "caprl/ops/feed_forward.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "caprl/ops/swiglu.h"

namespace caprl::ops {
namespace {

using Tensors = std::vector<at::Tensor>;

/// x, then gate, up and down, then their biases.
Tensors inputs(at::ScalarType dtype) {
  at::manual_seed(7);
  Tensors all;
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{5, 6}, {8, 6}, {8, 6}, {7, 8}, {8}, {8}, {7}})
    all.push_back(at::randn(shape).to(dtype).requires_grad_());
  return all;
}

at::Tensor composed(const Tensors& in, bool biases) {
  const auto linear = [&](const at::Tensor& x, size_t weight) {
    return at::linear(x, in[weight],
                      biases ? std::optional(in[weight + 3]) : std::optional<at::Tensor>());
  };
  return linear(swiglu(linear(in[0], 1), linear(in[0], 2)), 3);
}

at::Tensor layer(const Tensors& in, bool biases, RowBits bits) {
  const auto weights = [&](size_t weight) {
    return LinearWeights{in[weight], biases ? in[weight + 3] : at::Tensor()};
  };
  return feed_forward(in[0], {weights(1), weights(2), weights(3)}, bits);
}

/// The result and every gradient, undefined where there is none.
Tensors run(const Tensors& in, const std::function<at::Tensor()>& work) {
  for (const at::Tensor& input : in) input.mutable_grad().reset();
  const at::Tensor out = work();
  (out * at::arange(out.numel(), out.options()).sin().view(out.sizes())).sum().backward();
  Tensors all{out.detach()};
  for (const at::Tensor& input : in) all.push_back(input.grad());
  return all;
}

TEST(FeedForward, IsWhatAutogradMakesOfItsProductsBitForBit) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16})
    for (const bool biases : {false, true})
      for (const bool frozen : {false, true}) {
        SCOPED_TRACE(c10::str(dtype, biases ? ", biases" : "", frozen ? ", up frozen" : ""));
        const Tensors in = inputs(dtype);
        if (frozen) in[2].requires_grad_(false);
        const Tensors expected = run(in, [&] { return composed(in, biases); });
        for (const RowBits bits : {RowBits::kFixed, RowBits::kAny}) {
          const Tensors got = run(in, [&] { return layer(in, biases, bits); });
          for (size_t i = 0; i < got.size(); ++i) {
            ASSERT_EQ(got[i].defined(), expected[i].defined()) << "tensor " << i;
            if (got[i].defined()) EXPECT_TRUE(got[i].equal(expected[i])) << "tensor " << i;
          }
          const at::NoGradGuard no_grad;
          EXPECT_TRUE(layer(in, biases, bits).equal(expected[0]));
        }
      }
}

/// Of x alone: what a frozen layer between trained ones does.
TEST(FeedForward, HandsOnAGradientWithoutOneOfItsOwn) {
  const Tensors in = inputs(at::kDouble);
  for (size_t i = 1; i < in.size(); ++i) in[i].requires_grad_(false);
  const Tensors expected = run(in, [&] { return composed(in, false); });
  const Tensors got = run(in, [&] { return layer(in, false, RowBits::kFixed); });
  EXPECT_TRUE(got[1].equal(expected[1]));
  EXPECT_FALSE(got[2].defined());
}

TEST(FeedForward, RefusesWeightsThatDoNotFit) {
  const Tensors in = inputs(at::kFloat);
  EXPECT_THROW(feed_forward(in[0], {{in[1], {}}, {in[3], {}}, {in[3], {}}}), c10::Error);
  EXPECT_THROW(feed_forward(in[0], {{in[1], in[4]}, {in[2], {}}, {in[3], {}}}), c10::Error);
  EXPECT_THROW(feed_forward(in[0].view({1, 5, 6}), {{in[1], {}}, {in[2], {}}, {in[3], {}}}),
               c10::Error);
}

}  // namespace
}  // namespace caprl::ops
