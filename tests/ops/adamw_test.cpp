#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "caprl/ops/adamw.h"

namespace caprl::ops {
namespace {

TEST(SquaredNorm, IsThatOfDoubles) {
  at::manual_seed(1);
  for (const int64_t size : {0, 1, 15, 16, 17, 65536, 65537, 300007}) {
    const at::Tensor x = at::randn({size});
    const double expected = x.to(at::kDouble).square().sum().item<double>();
    EXPECT_NEAR(squared_norm(x).item<double>(), expected, 1e-12 * expected) << size;
  }
}

TEST(SquaredNorm, DoesNotDependOnTheNumberOfThreads) {
  const at::Tensor x = at::randn({1000003});
  const int threads = at::get_num_threads();
  const double several = squared_norm(x).item<double>();
  at::set_num_threads(1);
  EXPECT_EQ(squared_norm(x).item<double>(), several);
  at::set_num_threads(threads);
}

TEST(SquaredNorm, KeepsWhatIsNotFinite) {
  at::Tensor x = at::zeros({100});
  x[70] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(squared_norm(x).item<double>()));
  x[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(squared_norm(x).item<double>()));
}

AdamWTensors some_weights(at::ScalarType weights) {
  at::manual_seed(2);
  AdamWTensors t{at::randn({777}), at::randn({777}), at::randn({777}) * 0.1, at::rand({777}), {}};
  if (weights != at::kFloat) t.weights = t.master.to(weights);
  return t;
}

AdamWTerms some_terms() {
  return {.lr = 1e-2,
          .beta1 = 0.9,
          .beta2 = 0.99,
          .eps = 1e-8,
          .weight_decay = 0.1,
          .correction1 = 0.1,
          .correction2 = 0.01};
}

TEST(AdamW, MatchesDoublePrecision) {
  AdamWTerms terms = some_terms();
  terms.gradient_scale = 0.3;
  for (const at::ScalarType weights : {at::kFloat, at::kBFloat16}) {
    const AdamWTensors own = some_weights(weights);
    const AdamWTensors exact{own.gradient.to(at::kDouble),
                             own.master.to(at::kDouble),
                             own.exp_avg.to(at::kDouble),
                             own.exp_avg_sq.to(at::kDouble),
                             {}};
    adamw(own, terms);
    adamw(exact, terms);
    const auto near = [](const at::Tensor& got, const at::Tensor& want) {
      return at::allclose(got.to(at::kDouble), want, 1e-6, 1e-7);
    };
    EXPECT_TRUE(near(own.master, exact.master));
    EXPECT_TRUE(near(own.exp_avg, exact.exp_avg));
    EXPECT_TRUE(near(own.exp_avg_sq, exact.exp_avg_sq));
    if (own.weights.defined()) {
      EXPECT_TRUE(own.weights.equal(own.master.to(weights)));
    }
  }
}

TEST(AdamWOffloaded, HasTheSameBitsInBlocks) {
  const AdamWTerms terms = some_terms();
  for (const at::ScalarType weights : {at::kFloat, at::kBFloat16})
    for (const int64_t block : {1, 100, 777, 1000}) {
      const AdamWTensors plain = some_weights(weights), offloaded = some_weights(weights);
      adamw(plain, terms);
      adamw_offloaded(offloaded, terms, block);
      EXPECT_TRUE(offloaded.master.equal(plain.master)) << block;
      EXPECT_TRUE(offloaded.exp_avg.equal(plain.exp_avg)) << block;
      EXPECT_TRUE(offloaded.exp_avg_sq.equal(plain.exp_avg_sq)) << block;
      if (plain.weights.defined()) {
        EXPECT_TRUE(offloaded.weights.equal(plain.weights)) << block;
      }
    }
}

}  // namespace
}  // namespace caprl::ops
