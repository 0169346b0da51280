// Gradients through the CPU's own kernels beside autograd's of the same operations in fp64, which
// are composed of ATen's.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "caprl/ops/feed_forward.h"
#include "caprl/ops/rms_norm.h"
#include "caprl/ops/rotary.h"
#include "caprl/ops/swiglu.h"

namespace caprl::ops {
namespace {

using Op = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

at::Tensor normal(at::IntArrayRef shape, uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(shape, at::kDouble);
}

/// Outputs, then gradients of the inputs that have one, with `frozen` (or −1) not trained.
std::vector<at::Tensor> run(const Op& op, const std::vector<at::Tensor>& inputs,
                            at::ScalarType dtype, int64_t frozen = -1) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs)
    leaves.push_back(
        input.to(dtype, false, /*copy=*/true).set_requires_grad(std::ssize(leaves) != frozen));
  std::vector<at::Tensor> results = op(leaves);
  std::vector<at::Tensor> gradients;
  for (size_t i = 0; i < results.size(); ++i)
    gradients.push_back(normal(results[i].sizes(), 50 + i).to(dtype));
  torch::autograd::backward(results, gradients);
  for (const at::Tensor& leaf : leaves)
    if (leaf.grad().defined()) results.push_back(leaf.grad());
  return results;
}

void compare(const Op& op, const std::vector<at::Tensor>& inputs, int64_t frozen = -1) {
  std::vector<at::Tensor> rounded;
  for (const at::Tensor& input : inputs) rounded.push_back(input.to(at::kBFloat16).to(at::kDouble));
  const auto exact = run(op, rounded, at::kDouble, frozen);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const auto own = run(op, rounded, dtype, frozen);
    ASSERT_EQ(own.size(), exact.size());
    for (size_t i = 0; i < own.size(); ++i) {
      EXPECT_EQ(own[i].scalar_type(), dtype);
      const double distance = (own[i].to(at::kDouble) - exact[i]).norm().item<double>();
      EXPECT_LT(distance, (dtype == at::kFloat ? 1e-6 : 1e-2) * exact[i].norm().item<double>())
          << "tensor " << i << " of " << c10::toString(dtype);
    }
  }
  // The same bits by one thread as by several.
  const int threads = at::get_num_threads();
  const auto several = run(op, rounded, at::kFloat, frozen);
  at::set_num_threads(1);
  const auto one = run(op, rounded, at::kFloat, frozen);
  at::set_num_threads(threads);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(one[i].equal(several[i])) << i;
}

TEST(CpuGradients, RmsNorm) {
  const Op op = [](const auto& in) -> std::vector<at::Tensor> {
    return {rms_norm(in[0], in[1], 1e-5)};
  };
  compare(op, {normal({300, 37}, 1), normal({37}, 2)});
  compare(op, {normal({5, 7, 96}, 1), normal({96}, 2)}, /*frozen=*/1);
  // Rows that are not side by side, as heads of a projection.
  compare(
      [](const auto& in) -> std::vector<at::Tensor> {
        return {rms_norm(in[0].select(1, 1), in[1], 1e-5)};
      },
      {normal({9, 3, 4, 24}, 1), normal({24}, 2)});
}

TEST(CpuGradients, AdditionAndRmsNorm) {
  const std::vector<at::Tensor> inputs{normal({150, 40}, 1), normal({150, 40}, 2), normal({40}, 3)};
  compare(
      [](const auto& in) -> std::vector<at::Tensor> {
        const auto [sum, normed] = add_rms_norm(in[0], in[1], in[2], 1e-5);
        return {sum, normed};
      },
      inputs);
  // The last layer's sum has no other reader.
  compare(
      [](const auto& in) -> std::vector<at::Tensor> {
        return {std::get<1>(add_rms_norm(in[0], in[1], in[2], 1e-5))};
      },
      inputs);
}

TEST(CpuGradients, SwiGlu) {
  compare(
      [](const auto& in) -> std::vector<at::Tensor> {
        return {swiglu(4 * in[0], in[1]).transpose(0, 1)};
      },
      {normal({33, 50}, 1), normal({33, 50}, 2)});
}

TEST(CpuGradients, FeedForward) {
  compare(
      [](const auto& in) -> std::vector<at::Tensor> {
        return {feed_forward(in[0], {{{in[1]}, {}}, {{in[2]}, {}}, {{in[3]}, {}}})};
      },
      {normal({70, 24}, 1), normal({40, 24}, 2), normal({40, 24}, 3), normal({24, 40}, 4)});
}

TEST(CpuGradients, Rotate) {
  const at::Tensor angles = 10 * normal({21, 6}, 3);
  compare(
      [&](const auto& in) -> std::vector<at::Tensor> {
        const RotaryTable table =
            rotary_table(angles.to(at::kFloat).to(at::kDouble), in[0].scalar_type());
        const auto [q, k] = rotate(in[0], in[1], table);
        return {q.transpose(0, 1), k};
      },
      {normal({21, 4, 12}, 1), normal({21, 2, 12}, 2)});
}

}  // namespace
}  // namespace caprl::ops
