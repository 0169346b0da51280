#include "kernels/squared_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/device_buffer.h"
#include "kernels/numbers.h"

namespace caprl::kernels {
namespace {

double norm_of(const std::vector<float>& values, size_t offset = 0) {
  const auto size = static_cast<int64_t>(values.size());
  DeviceBuffer<float> buffer(values, offset);
  DeviceBuffer<double> workspace(static_cast<size_t>(squared_norm_workspace(size))), result(1);
  squared_norm(buffer.get(), size, workspace.get(), result.get(), nullptr);
  return result.values()[0];
}

/// Small integers: their sum is exact in any order, so a value left out or counted twice shows.
std::vector<float> integers(size_t size) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i)
    values[i] = static_cast<float>(static_cast<int>(i * 7919 % 1000) - 500);
  return values;
}
double exact(const std::vector<float>& values) {
  long double sum = 0;
  for (const float x : values) sum += static_cast<long double>(x) * x;
  return static_cast<double>(sum);
}

TEST(SquaredNorm, CountsEveryValueOnce) {
  for (const size_t size :
       {1, 2, 3, 4, 5, 31, 33, 255, 1023, 1024, 1025, 4093, 4096, 4097, 4100, 40'003})
    for (const size_t offset : {0, 1, 2, 3}) {
      const auto values = integers(size);
      EXPECT_EQ(norm_of(values, offset), exact(values)) << size << " + " << offset;
    }
}

TEST(SquaredNorm, CountsEveryValueOnceWhereBlocksGoRoundAgain) {
  const auto values = integers((1056 + 37) * 4096 + 5);
  ASSERT_EQ(squared_norm_workspace(static_cast<int64_t>(values.size())), 1056);
  EXPECT_EQ(norm_of(values), exact(values));
}

TEST(SquaredNorm, IsAsExactAsDouble) {
  const auto values = random_values<float>(30'011, 3, 0.7, 0.2);
  const double expected = exact(values);
  EXPECT_NEAR(norm_of(values), expected, 1e-14 * expected);
}

TEST(SquaredNorm, NeitherOverflowsNorUnderflows) {
  EXPECT_NEAR(norm_of(std::vector<float>(5000, 3e38f)) / (5000 * 9e76), 1, 1e-6);
  EXPECT_NEAR(norm_of(std::vector<float>(5000, 1e-30f)) / (5000 * 1e-60), 1, 1e-6);
  // One large value and many small ones, each below half a unit of the float sum's last place.
  std::vector<float> values(10'001, 1e-4f);
  values[0] = 1;
  EXPECT_NEAR(norm_of(values), 1 + 1e-4, 1e-10);
}

TEST(SquaredNorm, RepeatsToTheBit) {
  const auto values = random_values<float>(20'001, 5);
  EXPECT_EQ(norm_of(values), norm_of(values));
}

TEST(SquaredNorm, NonFiniteValuesShow) {
  for (const size_t size : {1, 6, 9001})
    for (const size_t where : {size_t{0}, size / 2, size - 1})
      for (const size_t offset : {0, 1}) {
        std::vector<float> values(size, 1.0f);
        values[where] = std::numeric_limits<float>::quiet_NaN();
        EXPECT_TRUE(std::isnan(norm_of(values, offset)));
        values[where] = -std::numeric_limits<float>::infinity();
        EXPECT_EQ(norm_of(values, offset), std::numeric_limits<double>::infinity());
      }
}

TEST(SquaredNorm, OfNothingIsZero) {
  EXPECT_EQ(squared_norm_workspace(0), 0);
  DeviceBuffer<double> result(1);
  squared_norm(nullptr, 0, nullptr, result.get(), nullptr);
  EXPECT_EQ(result.values()[0], 0.0);
}

}  // namespace
}  // namespace caprl::kernels
