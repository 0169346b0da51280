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

}  // namespace
}  // namespace caprl::ops
