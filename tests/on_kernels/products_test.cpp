// Products with weights on kernels, whose gradients go to sums, beside autograd's in double.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "caprl/ops/feed_forward.h"
#include "on_kernels/switch.h"

namespace caprl::ops {
namespace {

using Tensors = std::vector<at::Tensor>;
using Shapes = std::vector<std::vector<int64_t>>;

/// Weights as a model has them: views of one buffer, sums of gradients as views of another.
class Buffer {
 public:
  Buffer(const Shapes& shapes, at::ScalarType dtype, int64_t gap, bool sums) {
    int64_t size = 0;
    for (const auto& shape : shapes) size += c10::multiply_integers(shape) + gap;
    values_ = at::zeros({size}, at::TensorOptions(current_device()).dtype(dtype));
    sums_ = at::ones({size}, values_.options().dtype(dtype == at::kDouble ? dtype : at::kFloat));
    int64_t begin = 0;
    at::manual_seed(3);
    for (const auto& shape : shapes) {
      const int64_t count = c10::multiply_integers(shape);
      values_.narrow(0, begin, count).copy_(at::randn({count}).mul(0.3).to(at::kBFloat16));
      at::Tensor view = values_.narrow(0, begin, count).view(shape).detach().requires_grad_();
      auto sum = std::make_shared<GradientSum>();
      const auto index = weights.size();
      told.push_back(0);
      if (sums)
        *sum = {sums_.narrow(0, begin, count).view(shape), [this, index] { ++told[index]; }};
      weights.emplace_back(view, sum);
      begin += count + gap;
    }
  }
  Buffer(const Buffer&) = delete;

  /// Sums begin at one; without sums, what autograd has and one.
  Tensors gradients() const {
    Tensors all;
    for (const Weight& weight : weights) {
      const bool by_autograd = weight.values.grad().defined();
      EXPECT_NE(by_autograd, weight.has_sum());
      const at::Tensor gradient = by_autograd ? weight.values.grad() + 1 : weight.gradient->values;
      all.push_back(gradient.to(at::kCPU, at::kDouble));
    }
    return all;
  }

  std::vector<Weight> weights;
  std::vector<int> told;

 private:
  at::Tensor values_, sums_;
};

struct Case {
  Shapes shapes;
  std::function<Tensors(const at::Tensor& x, const std::vector<Weight>&)> op;
};

/// What the operation gives, the gradients of x and of the weights.
Tensors run(const Case& c, int64_t columns, at::ScalarType dtype, int64_t gap, bool sums) {
  Buffer buffer(c.shapes, dtype, gap, sums);
  at::manual_seed(4);
  const at::Tensor x = here(at::randn({7, columns}).to(at::kBFloat16).to(dtype)).requires_grad_();
  const Tensors out = c.op(x, buffer.weights);
  Tensors upstream, results;
  for (const at::Tensor& t : out)
    upstream.push_back(here(at::arange(t.numel(), at::kFloat).mul(0.7).sin().view(t.sizes()))
                           .to(at::kBFloat16)
                           .to(dtype));
  torch::autograd::backward(out, upstream);
  for (const at::Tensor& t : out) results.push_back(t.detach().to(at::kCPU, at::kDouble));
  results.push_back(x.grad().to(at::kCPU, at::kDouble));
  for (const at::Tensor& gradient : buffer.gradients()) results.push_back(gradient);
  for (const int told : buffer.told) EXPECT_EQ(told, sums && on_kernels ? 1 : 0);
  {
    const at::NoGradGuard no_grad;
    const Tensors again = c.op(x, buffer.weights);
    // Weights side by side whose gradients are autograd's are one product here alone, and the
    // library's sums depend on a product's size.
    const bool same_products = !on_kernels || sums || gap > 0;
    for (size_t i = 0; i < out.size(); ++i)
      EXPECT_TRUE(same_products ? again[i].equal(out[i]) : again[i].allclose(out[i], 1e-2, 1e-4))
          << "output " << i;
  }
  return results;
}

void compare(const Case& c, int64_t columns) {
  const Tensors expected = run(c, columns, at::kDouble, 0, /*sums=*/false);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16})
    for (const int64_t gap : {0, 16})
      for (const bool sums : {true, false}) {
        SCOPED_TRACE(c10::str(dtype, ", gap of ", gap, sums ? ", sums" : ", autograd"));
        const OnKernels on;
        const Tensors got = run(c, columns, dtype, gap, sums);
        ASSERT_EQ(got.size(), expected.size());
        for (size_t i = 0; i < got.size(); ++i) {
          const double scale = std::max(1.0, expected[i].abs().max().item<double>());
          EXPECT_LE((got[i] - expected[i]).abs().max().item<double>(),
                    (dtype == at::kFloat ? 1e-5 : 0x1p-6) * scale)
              << "tensor " << i;
        }
      }
}

TEST(ProductsOnKernels, OneWeight) {
  compare({{{24, 16}, {24}},
           [](const at::Tensor& x, const std::vector<Weight>& w) {
             return Tensors{linear(x, {w[0], w[1]})};
           }},
          16);
}

TEST(ProductsOnKernels, WeightsSideBySideAreOneProduct) {
  compare({{{24, 16}, {8, 16}, {8, 16}, {24}, {8}, {8}},
           [](const at::Tensor& x, const std::vector<Weight>& w) {
             const std::array<LinearWeights, 3> all{{{w[0], w[3]}, {w[1], w[4]}, {w[2], w[5]}}};
             return linear_each(x, all);
           }},
          16);
}

/// Only some have a bias.
TEST(ProductsOnKernels, UnlikeWeights) {
  compare({{{24, 16}, {8, 16}, {24}},
           [](const at::Tensor& x, const std::vector<Weight>& w) {
             const std::array<LinearWeights, 2> all{{{w[0], w[2]}, {w[1], {}}}};
             return linear_each(x, all);
           }},
          16);
}

/// 20 is no multiple of what a GPU reads of bfloat16 at once.
TEST(ProductsOnKernels, FeedForward) {
  for (const int64_t inner : {24, 20}) {
    compare({{{inner, 16}, {inner, 16}, {16, inner}},
             [](const at::Tensor& x, const std::vector<Weight>& w) {
               return Tensors{feed_forward(x, {{w[0], {}}, {w[1], {}}, {w[2], {}}})};
             }},
            16);
    compare({{{inner, 16}, {inner, 16}, {16, inner}, {inner}, {inner}, {16}},
             [](const at::Tensor& x, const std::vector<Weight>& w) {
               return Tensors{feed_forward(x, {{w[0], w[3]}, {w[1], w[4]}, {w[2], w[5]}})};
             }},
            16);
  }
}

LinearWeights adapted(const Weight& weight, const Weight& a, const Weight& b) {
  return {weight, {}, {a, b, 1.5}};
}

/// Queries, keys and values with adapters: W, W, W, A, A, A, B, B, B.
TEST(ProductsOnKernels, Adapters) {
  compare({{{24, 16}, {8, 16}, {8, 16}, {4, 16}, {4, 16}, {4, 16}, {24, 4}, {8, 4}, {8, 4}},
           [](const at::Tensor& x, const std::vector<Weight>& w) {
             const std::array<LinearWeights, 3> all{
                 adapted(w[0], w[3], w[6]), adapted(w[1], w[4], w[7]), adapted(w[2], w[5], w[8])};
             return linear_each(x, all);
           }},
          16);
}

TEST(ProductsOnKernels, FeedForwardWithAdapters) {
  compare({{{24, 16}, {24, 16}, {16, 24}, {4, 16}, {4, 16}, {4, 24}, {24, 4}, {24, 4}, {16, 4}},
           [](const at::Tensor& x, const std::vector<Weight>& w) {
             return Tensors{feed_forward(x, {adapted(w[0], w[3], w[6]), adapted(w[1], w[4], w[7]),
                                             adapted(w[2], w[5], w[8])})};
           }},
          16);
}

/// A frozen weight has neither sum nor gradient, one that is trained keeps its own.
TEST(ProductsOnKernels, FrozenWeights) {
  const OnKernels on;
  Buffer buffer({{8, 16}, {8, 16}}, at::kFloat, 0, /*sums=*/true);
  buffer.weights[1].values.requires_grad_(false);
  buffer.weights[1].gradient = nullptr;
  const at::Tensor x = here(at::ones({3, 16})).requires_grad_();
  const std::array<LinearWeights, 2> all{{{buffer.weights[0], {}}, {buffer.weights[1], {}}}};
  const auto out = linear_each(x, all);
  (out[0].sum() + out[1].sum()).backward();
  EXPECT_TRUE(buffer.weights[0].gradient->values.allclose(here(at::full({8, 16}, 4.0))));
  EXPECT_FALSE(buffer.weights[1].values.grad().defined());
  EXPECT_TRUE(x.grad().allclose(
      (buffer.weights[0].values + buffer.weights[1].values).detach().sum(0).expand({3, 16})));
}

}  // namespace
}  // namespace caprl::ops
