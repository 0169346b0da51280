// The operations of a layer and of an optimizer step on kernels beside the composed ones.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "caprl/ops/adamw.h"
#include "caprl/ops/embedding.h"
#include "caprl/ops/rms_norm.h"
#include "caprl/ops/rotary.h"
#include "caprl/ops/swiglu.h"
#include "on_kernels/switch.h"

namespace caprl::ops {
namespace {

using Tensors = std::vector<at::Tensor>;

void expect_close(const Tensors& got, const Tensors& expected, double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].scalar_type(), expected[i].scalar_type()) << i;
    const double scale = std::max(1.0, expected[i].abs().max().item<double>());
    EXPECT_LE((got[i].to(at::kCPU) - expected[i]).abs().max().item<double>(), tolerance * scale)
        << "tensor " << i;
  }
}

/// Results and gradients of every input, composed and on kernels; a few roundings apart.
void compare(const std::function<Tensors(const Tensors&)>& op,
             const std::vector<std::vector<int64_t>>& shapes) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    at::manual_seed(5);
    Tensors inputs;
    for (const auto& shape : shapes) inputs.push_back(at::randn(shape).to(dtype).requires_grad_());
    const auto [got, expected] = both_ways([&] {
      Tensors placed;
      for (const at::Tensor& input : inputs) placed.push_back(here(input));
      const Tensors out = op(placed);
      Tensors upstream;
      for (const at::Tensor& t : out)
        upstream.push_back(
            here(at::arange(t.numel(), at::kFloat).mul(0.7).sin().view(t.sizes()).to(dtype)));
      Tensors all = torch::autograd::grad(out, placed, upstream);
      for (const at::Tensor& t : out) all.push_back(t.detach());
      return all;
    });
    expect_close(got, expected, dtype == at::kFloat ? 2e-6 : 0x1p-6);
  }
}

TEST(LayersOnKernels, RmsNorm) {
  compare([](const Tensors& in) { return Tensors{rms_norm(in[0], in[1], 1e-6)}; },
          {{5, 3, 24}, {24}});
}

TEST(LayersOnKernels, AddRmsNorm) {
  const auto both = [](const Tensors& in) {
    const auto [sum, normed] = add_rms_norm(in[0], in[1], in[2], 1e-6);
    return Tensors{sum, normed};
  };
  compare(both, {{9, 40}, {9, 40}, {40}});
  compare([&](const Tensors& in) { return Tensors{both(in)[1]}; }, {{9, 40}, {9, 40}, {40}});
}

TEST(LayersOnKernels, RotaryOfPackedProjections) {
  for (const at::ScalarType table : {at::kFloat, at::kBFloat16}) {
    const at::Tensor angles = at::arange(7 * 8, at::kFloat).mul(0.3).view({7, 8});
    // Queries and keys as parts of one product, as a packed projection gives them.
    compare(
        [&](const Tensors& in) {
          const auto dtype = in[0].scalar_type() == at::kFloat ? at::kFloat : table;
          const at::Tensor heads = in[0].view({7, 6, 16});
          const auto [q, k] = rotate(heads.narrow(1, 0, 4), heads.narrow(1, 4, 2),
                                     {here(angles.cos().to(dtype)), here(angles.sin().to(dtype))});
          return Tensors{q, k};
        },
        {{7, 96}});
  }
}

TEST(LayersOnKernels, SwiGlu) {
  compare([](const Tensors& in) { return Tensors{swiglu(in[0], in[1])}; }, {{6, 20}, {6, 20}});
  compare(
      [](const Tensors& in) {
        const auto halves = in[0].chunk(2, 1);
        return Tensors{swiglu(halves[0], halves[1])};
      },
      {{6, 40}});
}

TEST(LayersOnKernels, EmbeddingGradient) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor weight = at::randn({10, 12}).to(dtype).requires_grad_();
    const at::Tensor ids = at::tensor({3, 9, 3, 0, 3, 9, 5}, at::kLong);
    const at::Tensor upstream = at::randn({7, 12}).to(dtype);
    const auto [got, expected] = both_ways([&] {
      const at::Tensor gradient = here(at::ones({10, 12}));
      torch::autograd::backward({look_up(here(weight), here(ids), gradient)}, {here(upstream)});
      return gradient;
    });
    expect_close({got}, {expected}, 1e-6);
  }
}

AdamWTerms some_terms() {
  return {.lr = 1e-2,
          .beta1 = 0.9,
          .beta2 = 0.99,
          .eps = 1e-8,
          .weight_decay = 0.1,
          .correction1 = 0.271,
          .correction2 = 0.0297,
          .gradient_scale = 0.25};
}

/// State where `place` puts it; `stored`: with weights in bfloat16 beside their master.
AdamWTensors some_weights(bool stored, const std::function<at::Tensor(const at::Tensor&)>& place) {
  at::manual_seed(8);
  AdamWTensors t;
  t.gradient = here(at::randn({1003}));
  t.master = stored ? place(at::randn({1003})) : here(at::randn({1003}));
  t.exp_avg = place(at::randn({1003}) * 0.1);
  t.exp_avg_sq = place(at::rand({1003}) * 0.1);
  if (stored) t.weights = here(at::zeros({1003}, at::kBFloat16));
  return t;
}

Tensors results_of(const AdamWTensors& t) {
  Tensors all{t.master, t.exp_avg, t.exp_avg_sq};
  if (t.weights.defined()) all.push_back(t.weights);
  return all;
}

TEST(StepOnKernels, AdamW) {
  for (const bool stored : {false, true}) {
    const auto [got, expected] = both_ways([&] {
      const AdamWTensors t = some_weights(stored, here);
      adamw(t, some_terms());
      return results_of(t);
    });
    expect_close(got, expected, stored ? 0x1p-7 : 1e-6);
    expect_close({got[0], got[1], got[2]}, {expected[0], expected[1], expected[2]}, 1e-6);
  }
}

TEST(StepOnKernels, AdamWOfAStateInTheHostsMemoryHasTheSameBits) {
  const OnKernels on;
  for (const bool stored : {false, true})
    for (const int64_t block : {100, 1003, 4096}) {
      const AdamWTensors there = some_weights(stored, here);
      const AdamWTensors host = some_weights(stored, [](const at::Tensor& x) {
        return current_device().is_cuda() ? x.pin_memory() : x.clone();
      });
      for (int step = 0; step < 2; ++step) {
        adamw(there, some_terms());
        adamw_offloaded(host, some_terms(), block);
      }
      EXPECT_TRUE(host.exp_avg.is_cpu());
      const Tensors expected = results_of(there), got = results_of(host);
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_TRUE(got[i].to(at::kCPU).equal(expected[i].to(at::kCPU))) << i << ", " << block;
    }
}

TEST(StepOnKernels, SquaredNorm) {
  at::manual_seed(8);
  const at::Tensor x = at::randn({100'003}) * 1e20;
  const auto [got, expected] = both_ways([&] { return squared_norm(here(x)).item<double>(); });
  EXPECT_NEAR(got, expected, 1e-12 * expected);
}

}  // namespace
}  // namespace caprl::ops
