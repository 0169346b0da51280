// Rows of values that kernels under test read or write, and the intervals their results must be in.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <ostream>
#include <utility>
#include <vector>

#include "kernels/device_buffer.h"
#include "kernels/numbers.h"

namespace caprl::kernels {

constexpr double kFloatRounding = 0x1p-24;  // what rounding to float costs at most, relative

template <class T>
double round_to(double x) {
  return static_cast<double>(to_float(from_float<T>(static_cast<float>(x))));
}

struct Interval {
  double low, high;
};

/// What a computation in float that errs by `error` can give once it is rounded to T.
template <class T>
Interval rounded(double exact, double error) {
  if (!std::isfinite(exact)) return {exact, exact};
  return {round_to<T>(exact - error), round_to<T>(exact + error)};
}

/// factor · x, rounded to T, for a factor and an x of type T, x within its interval.
template <class T>
Interval times(double factor, Interval x) {
  const double a = round_to<T>(factor * x.low), b = round_to<T>(factor * x.high);
  return {std::min(a, b), std::max(a, b)};
}

inline void expect_in(double got, const Interval& expected, const char* what, int64_t row,
                      int64_t column) {
  if (std::isnan(expected.low) && std::isnan(got)) return;
  ASSERT_TRUE(expected.low <= got && got <= expected.high)
      << what << "[" << row << ", " << column << "] = " << got << ", expected " << expected.low
      << " … " << expected.high;
}

/// Rows of the operands of one call. Those of operand i lie 8 · i + `padding` values apart.
struct RowShape {
  int64_t num_rows, width;
  int64_t padding = 0;
  size_t offset = 0;  // of every operand, in values past a 16-byte boundary
  int late = -1;      // this operand alone begins 1 value later
  int apart = -1;     // this operand's rows lie 1 value further apart
  int64_t stride(int operand) const {
    return width + 8 * operand + padding + (apart == operand ? 1 : 0);
  }
  size_t offset_of(int operand) const { return offset + (late == operand ? 1 : 0); }
};
inline std::ostream& operator<<(std::ostream& out, const RowShape& s) {
  return out << s.num_rows << " rows of " << s.width << " + " << s.padding << ", offset "
             << s.offset << ", late " << s.late << ", apart " << s.apart;
}

/// Appends shapes in which only one of `operands` forbids access by 16 bytes.
inline void add_misaligned(std::vector<RowShape>& shapes, int operands) {
  for (int operand = 0; operand < operands; ++operand) {
    shapes.push_back({.num_rows = 3, .width = 24, .late = operand});
    shapes.push_back({.num_rows = 3, .width = 24, .apart = operand});
  }
}

/// [rows, width] values in rows `stride` apart: as they were put there, and the memory.
template <class T>
struct RowOperand {
  int64_t num_rows, width, stride;
  std::vector<T> before;
  DeviceBuffer<T> buffer;

  RowOperand(const RowShape& shape, int64_t stride_, size_t offset, std::vector<T> values)
      : num_rows(shape.num_rows),
        width(shape.width),
        stride(stride_),
        before(std::move(values)),
        buffer(before, offset) {}
  /// Operand `index` of the shape: normal numbers.
  RowOperand(const RowShape& shape, int index, double scale = 1, double mean = 0)
      : RowOperand(shape, shape.stride(index), shape.offset_of(index),
                   random_values<T>(shape.num_rows * shape.stride(index), 1 + index, scale, mean)) {
  }

  T* get() { return buffer.get(); }
  double operator()(int64_t row, int64_t column) const {
    return static_cast<double>(to_float(before[row * stride + column]));
  }
  std::vector<double> row(int64_t row) const {
    std::vector<double> values;
    for (int64_t j = 0; j < width; ++j) values.push_back((*this)(row, j));
    return values;
  }

  /// Every value now lies in its interval, and nothing was written between the rows.
  void expect(const std::function<Interval(int64_t row, int64_t column)>& reference,
              const char* what) {
    const std::vector<T> now = buffer.values();
    for (int64_t i = 0; i < static_cast<int64_t>(now.size()); ++i) {
      const int64_t row = i / stride, column = i % stride;
      if (column < width) {
        expect_in(to_float(now[i]), reference(row, column), what, row, column);
        if (::testing::Test::HasFatalFailure()) return;
      } else {
        ASSERT_EQ(std::memcmp(&now[i], &before[i], sizeof(T)), 0) << what << ": between rows";
      }
    }
  }
};

}  // namespace caprl::kernels
