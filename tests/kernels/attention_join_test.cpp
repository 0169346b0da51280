#include "kernels/attention_join.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/row_operand.h"

namespace caprl::kernels {
namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

/// Parts of `rows` rows whose log-sum-exps lie up to 60 apart; every fifth has seen nothing of one
/// or of both.
void expect_joined(int64_t rows, int64_t heads, int64_t dim) {
  SCOPED_TRACE(testing::Message() << rows << " × " << heads << " × " << dim);
  const int64_t stride = rows + 3, other_stride = rows + 5;
  const auto out = random_values<Bf16>(rows * heads * dim, 1),
             other = random_values<Bf16>(rows * heads * dim, 2);
  auto lse = random_values<float>(heads * stride, 3, 20.0),
       other_lse = random_values<float>(heads * other_stride, 4, 20.0);
  for (size_t i = 0; i < lse.size(); i += 5) lse[i] = -INFINITY;
  for (size_t i = 0; i < other_lse.size(); i += 7) other_lse[i] = -INFINITY;
  DeviceBuffer<Bf16> outs(out), others(other);
  DeviceBuffer<float> lses(lse), other_lses(other_lse);
  attention_join({outs.get(), others.get(), lses.get(), other_lses.get(), stride, other_stride,
                  rows, heads, dim},
                 nullptr);
  const auto got = outs.values();
  const auto got_lse = lses.values();
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t row = 0; row < stride; ++row) {
      const double a = lse[head * stride + row];
      if (row >= rows) {
        ASSERT_EQ(got_lse[head * stride + row], lse[head * stride + row]) << "between heads";
        continue;
      }
      const double b = other_lse[head * other_stride + row], top = std::max(a, b);
      const double both =
          top == kNothing ? top : top + std::log(std::exp(a - top) + std::exp(b - top));
      if (both == kNothing)
        ASSERT_EQ(got_lse[head * stride + row], -INFINITY);
      else
        ASSERT_NEAR(got_lse[head * stride + row], both, 1e-5 * std::max(1.0, std::abs(both)));
      const double share = both == kNothing ? 0 : std::exp(a - both);
      const double rest = both == kNothing ? 0 : std::exp(b - both);
      for (int64_t column = 0; column < dim; ++column) {
        const int64_t i = (row * heads + head) * dim + column;
        const double x = share * to_float(out[i]), y = rest * to_float(other[i]);
        const double error = 2e-5 * (std::abs(x) + std::abs(y)) + 1e-30;
        expect_in(to_float(got[i]), rounded<Bf16>(x + y, error), "out", row, column);
      }
    }
  }
}

TEST(AttentionJoin, WeighsBothParts) {
  for (const int64_t dim : {8, 64, 72, 80, 128, 256})
    for (const int64_t rows : {1, 2, 37}) expect_joined(rows, 3, dim);
  expect_joined(300, 16, 128);
  expect_joined(0, 4, 64);
}

/// Twice the same is the same; nothing changes nothing, bit by bit.
TEST(AttentionJoin, NothingAndItself) {
  const auto out = random_values<Bf16>(5 * 2 * 64, 1);
  const std::vector<float> lse(10, 3.5f);
  for (const float other : {3.5f, -INFINITY}) {
    DeviceBuffer<Bf16> outs(out), others(out);
    DeviceBuffer<float> lses(lse), other_lses(std::vector<float>(10, other));
    attention_join({outs.get(), others.get(), lses.get(), other_lses.get(), 5, 5, 5, 2, 64},
                   nullptr);
    const auto got = outs.values();
    for (size_t i = 0; i < out.size(); ++i) ASSERT_EQ(to_float(got[i]), to_float(out[i])) << i;
    for (const float x : lses.values())
      EXPECT_NEAR(x, other == 3.5f ? 3.5 + std::log(2.0) : 3.5, 1e-6);
  }
}

}  // namespace
}  // namespace caprl::kernels
