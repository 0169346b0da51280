// Random inputs and comparisons of kernel tests.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/math/bf16.h"

namespace caprl::kernels {

/// Normal numbers from a fixed seed, rounded to T.
template <class T>
std::vector<T> random_values(size_t count, unsigned seed, double scale = 1.0, double mean = 0.0) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(mean, scale);
  std::vector<T> values(count);
  for (T& value : values) value = from_float<T>(static_cast<float>(normal(generator)));
  return values;
}

template <class T>
std::vector<double> to_double(const std::vector<T>& values) {
  std::vector<double> result;
  for (const T value : values) result.push_back(static_cast<double>(to_float(value)));
  return result;
}

/// Half a unit in the last place of T, relative: what rounding an exact result costs at most.
template <class T>
constexpr double rounding() {
  return sizeof(T) == 2 ? 0x1p-8 : 0x1p-24;
}

/// |got − expected| ≤ absolute + relative · |expected| everywhere; NaN only where NaN is expected.
inline void expect_close(const std::vector<double>& got, const std::vector<double>& expected,
                         double relative, double absolute, const char* what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(got[i])) continue;
    if (got[i] == expected[i]) continue;
    ASSERT_LE(std::abs(got[i] - expected[i]), absolute + relative * std::abs(expected[i]))
        << what << "[" << i << "]: expected " << expected[i] << ", got " << got[i];
  }
}

/// Both element types of kernels, for typed tests.
using ElementTypes = ::testing::Types<float, Bf16>;

}  // namespace caprl::kernels
