#include "kernels/math/fast_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace caprl::kernels {
namespace {

TEST(FastMath, ExpIsWithinTwoUnitsInTheLastPlace) {
  for (int i = -86'900; i <= 88'000; ++i) {
    const float x = static_cast<float>(i) * 1e-3f;
    const double exact = std::exp(static_cast<double>(x));
    EXPECT_NEAR(fast_exp(x) / exact, 1.0, 2.4e-7) << x;
  }
  EXPECT_EQ(fast_exp(0.0f), 1.0f);
  EXPECT_LT(fast_exp(-std::numeric_limits<float>::infinity()), 2e-38f);
  EXPECT_TRUE(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST(FastMath, LogIsWithinTwoUnitsInTheLastPlace) {
  for (float x = 1e-12f; x < 1e6f; x *= 1.0001f) {
    const double exact = std::log(static_cast<double>(x));
    EXPECT_NEAR(fast_log(x), exact, 2.4e-7 * std::abs(exact) + 1e-9) << x;
  }
  EXPECT_EQ(fast_log(1.0f), 0.0f);
}

TEST(FastMath, GumbelFollowsItsFormulaToTheEndsOfItsRange) {
  const auto exact = [](uint32_t word) {
    const double u = (static_cast<double>(word >> 1) + 0.5) * 0x1p-31;
    return -std::log(-std::log1p(-u));
  };
  for (uint64_t word = 0; word < (1ull << 32); word += 9'999'991) {
    const auto w = static_cast<uint32_t>(word);
    EXPECT_NEAR(gumbel(w), exact(w), 4e-6) << w;
  }
  for (uint32_t word : {0u, 2u, 4u, 100u, 1u << 8, 1u << 16})
    EXPECT_NEAR(gumbel(word), exact(word), 3e-6);
  EXPECT_LT(gumbel(0), kMaxGumbel);
  EXPECT_GT(gumbel(0), 22.0f);
  EXPECT_TRUE(std::isfinite(gumbel(0xffffffffu)));
  EXPECT_LT(gumbel(0xffffffffu), -2.7f);
}

}  // namespace
}  // namespace caprl::kernels
