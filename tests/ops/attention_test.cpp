// Attention whose heads share keys beside ATen's with the keys repeated.
#include "caprl/ops/attention.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <limits>

namespace caprl::ops {
namespace {

struct Outcome {
  at::Tensor out, d_q, d_k, d_v;
};

Outcome run(at::ScalarType dtype, int64_t keys, const at::Tensor& mask, bool causal, bool own) {
  at::manual_seed(9);
  const auto leaf = [&](at::IntArrayRef shape) {
    return at::randn(shape).to(dtype).requires_grad_();
  };
  const at::Tensor q = leaf({2, 6, 11, 8}), k = leaf({2, 2, keys, 8}), v = leaf({2, 2, keys, 8});
  const auto repeated = [](const at::Tensor& x) { return x.repeat_interleave(3, 1); };
  const at::Tensor typed = mask.defined() ? mask.to(dtype) : mask;
  const at::Tensor out =
      own ? attention(q, k, v, typed, causal)
          : at::scaled_dot_product_attention(q, repeated(k), repeated(v),
                                             typed.defined() ? std::optional(typed) : std::nullopt,
                                             0.0, causal);
  (out * at::arange(out.numel(), out.options()).sin().view(out.sizes())).sum().backward();
  return {out.detach(), q.grad(), k.grad(), v.grad()};
}

TEST(Attention, SharedHeadsAreRepeatedOnes) {
  at::manual_seed(10);
  const at::Tensor seen = at::rand({2, 1, 11, 17}) < 0.7;
  seen.select(3, 0).fill_(true);
  const at::Tensor mask =
      at::zeros({2, 1, 11, 17})
          .masked_fill(seen.logical_not(), -std::numeric_limits<double>::infinity());
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kDouble})
    for (const bool causal : {true, false}) {
      SCOPED_TRACE(c10::str(dtype, causal ? ", causal" : ", masked"));
      const auto both = [&](bool own) {
        return run(dtype, causal ? 11 : 17, causal ? at::Tensor() : mask, causal, own);
      };
      const Outcome got = both(true), expected = both(false);
      EXPECT_TRUE(got.out.equal(expected.out));
      EXPECT_TRUE(got.d_q.equal(expected.d_q));
      // Sums over the heads that share a key: not in the same order.
      const double tolerance = dtype == at::kBFloat16 ? 0x1p-6 : dtype == at::kFloat ? 1e-6 : 1e-14;
      EXPECT_TRUE(got.d_k.allclose(expected.d_k, tolerance, tolerance));
      EXPECT_TRUE(got.d_v.allclose(expected.d_v, tolerance, tolerance));
      EXPECT_EQ(got.d_k.sizes(), expected.d_k.sizes());
    }
}

}  // namespace
}  // namespace caprl::ops
