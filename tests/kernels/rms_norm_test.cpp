// rms_norm against the formula in fp64, as intervals that rounding cannot leave.
#include "kernels/rms_norm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/row_operand.h"

namespace caprl::kernels {
namespace {

constexpr float kEps = 1e-6f;
constexpr double kU = kFloatRounding;

// Widths around packs, warps and what registers hold; rows that are few, several to a warp, more
// than the emulated grid covers at once.
std::vector<RowShape> shapes() {
  std::vector<RowShape> result = {
      {0, 8},     {4, 0},      {1, 1},      {3, 7},    {33, 8},    {5, 63},       {41, 64},
      {7, 72, 8}, {9, 80, 3},  {3, 129},    {2, 256},  {3, 264},   {3, 520},      {2, 1024},
      {3, 1536},  {1, 3584},   {1, 8192},   {1, 8200}, {1, 16400}, {4, 64, 0, 1}, {3, 2048, 0, 3},
      {300, 128}, {180, 1032}, {110, 1031}, {2100, 64}};
  add_misaligned(result, 5);  // the weight is the last
  return result;
}

/// Of the additions that a value of a row goes through in a sum over the row, at most: those of its
/// thread (16 values held, or one of 256 threads' share), of two warps, and what follows.
double sum_error(int64_t width) { return kU * (16 + static_cast<double>(width) / 256 + 10 + 4); }

/// Half the error of the mean, and 2 units in the last place of rsqrtf.
double scale_error(int64_t width) { return sum_error(width) / 2 + 4 * kU; }

double scale_of(const std::vector<double>& x) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  return 1 / std::sqrt(squares / static_cast<double>(x.size()) + static_cast<double>(kEps));
}

using Row = std::function<std::vector<double>(int64_t row)>;

template <class T>
struct Forward {
  RowShape shape;
  RowOperand<T> x, delta, sum, y, weight;
  DeviceBuffer<float> scale;

  explicit Forward(const RowShape& s)
      : shape(s),
        x(s, 0),
        delta(s, 1),
        sum(s, 2),
        y(s, 3),
        weight({1, s.width}, s.width, s.offset_of(4), random_values<T>(s.width, 9, 0.5, 1.0)),
        scale(s.num_rows) {}

  double sum_at(int64_t row, int64_t j) const { return round_to<T>(x(row, j) + delta(row, j)); }

  void run(RowOperand<T>* added, RowOperand<T>* sum_out, RowOperand<T>& out, float* scales) {
    rms_norm(RmsNorm<T>{.x = x.get(),
                        .delta = added != nullptr ? added->get() : nullptr,
                        .weight = weight.get(),
                        .sum = sum_out != nullptr ? sum_out->get() : nullptr,
                        .y = out.get(),
                        .scale = scales,
                        .x_stride = x.stride,
                        .delta_stride = delta.stride,
                        .sum_stride = sum_out != nullptr ? sum_out->stride : 0,
                        .y_stride = out.stride,
                        .num_rows = shape.num_rows,
                        .width = shape.width,
                        .eps = kEps},
             nullptr);
  }

  /// `out` holds the norm of `rows`, `scale` their scales.
  void expect_norm(const Row& rows, RowOperand<T>& out) {
    std::vector<std::vector<double>> normed;
    const std::vector<float> scales = scale.values();
    for (int64_t row = 0; row < shape.num_rows && shape.width > 0; ++row) {
      normed.push_back(rows(row));
      const double exact = scale_of(normed.back());
      ASSERT_NEAR(scales[row], exact, exact * (scale_error(shape.width) + kU)) << "row " << row;
      for (double& value : normed.back()) value *= exact;
    }
    const double error = scale_error(shape.width) + kU;
    out.expect(
        [&](int64_t row, int64_t j) {
          const double n = normed[row][j];
          return times<T>(weight(0, j), rounded<T>(n, error * std::abs(n)));
        },
        "y");
  }
  void expect_plain(RowOperand<T>& out) {
    expect_norm([&](int64_t row) { return x.row(row); }, out);
  }
  void expect_added(RowOperand<T>& sum_out, RowOperand<T>& out) {
    sum_out.expect(
        [&](int64_t row, int64_t j) {
          return Interval{sum_at(row, j), sum_at(row, j)};
        },
        "sum");
    expect_norm(
        [&](int64_t row) {
          std::vector<double> values;
          for (int64_t j = 0; j < shape.width; ++j) values.push_back(sum_at(row, j));
          return values;
        },
        out);
  }
};

template <class T>
class RmsNormKernel : public ::testing::Test {};
TYPED_TEST_SUITE(RmsNormKernel, ElementTypes);

TYPED_TEST(RmsNormKernel, Forward) {
  for (const RowShape& shape : shapes()) {
    SCOPED_TRACE(testing::Message() << shape);
    Forward<TypeParam> plain(shape), added(shape);
    plain.run(nullptr, nullptr, plain.y, plain.scale.get());
    plain.expect_plain(plain.y);
    added.run(&added.delta, &added.sum, added.y, added.scale.get());
    added.expect_added(added.sum, added.y);
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(RmsNormKernel, WritesOverItsInputs) {
  for (const int64_t width : {13, 64, 1040}) {
    SCOPED_TRACE(width);
    Forward<TypeParam> in_place(RowShape{5, width}), plain(RowShape{5, width});
    in_place.run(&in_place.delta, &in_place.x, in_place.delta, in_place.scale.get());
    in_place.expect_added(in_place.x, in_place.delta);
    plain.run(nullptr, nullptr, plain.x, plain.scale.get());
    plain.expect_plain(plain.x);
  }
}

TYPED_TEST(RmsNormKernel, ScaleNeedNotBeWanted) {
  for (const int64_t width : {13, 64, 2048}) {
    Forward<TypeParam> without(RowShape{9, width}), with(RowShape{9, width});
    without.run(nullptr, nullptr, without.y, nullptr);
    with.run(nullptr, nullptr, with.y, with.scale.get());
    EXPECT_EQ(to_double(without.y.buffer.values()), to_double(with.y.buffer.values())) << width;
  }
}

// Rows share warps and blocks, but nothing of what they hold.
TYPED_TEST(RmsNormKernel, OddValuesStayInTheirRows) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const int64_t width : {7, 64, 1040}) {
    SCOPED_TRACE(width);
    const RowShape shape{6, width};
    Forward<TypeParam> odd(shape), usual(shape);
    usual.run(nullptr, nullptr, usual.y, usual.scale.get());
    std::vector<TypeParam> values = odd.x.before;
    const auto set = [&](int64_t row, int64_t column, float value) {
      values[row * odd.x.stride + column] = from_float<TypeParam>(value);
    };
    set(1, 3, std::nanf(""));
    set(2, 0, infinity);
    for (int64_t j = 0; j < width; ++j) set(3, j, 0.0f);
    set(4, 5, 1e30f);  // its square is beyond float
    RowOperand<TypeParam> x(shape, odd.x.stride, 0, values);
    rms_norm(RmsNorm<TypeParam>{.x = x.get(),
                                .weight = odd.weight.get(),
                                .y = odd.y.get(),
                                .scale = odd.scale.get(),
                                .x_stride = x.stride,
                                .y_stride = odd.y.stride,
                                .num_rows = 6,
                                .width = width,
                                .eps = kEps},
             nullptr);
    const std::vector<TypeParam> y = odd.y.buffer.values(), expected = usual.y.buffer.values();
    const std::vector<float> scale = odd.scale.values();
    for (int64_t j = 0; j < width; ++j) {
      const auto at = [&](int64_t row) { return to_float(y[row * odd.y.stride + j]); };
      for (const int64_t row : {0, 5})
        EXPECT_EQ(at(row), to_float(expected[row * odd.y.stride + j])) << row << ", " << j;
      EXPECT_TRUE(std::isnan(at(1)));
      EXPECT_TRUE(j == 0 ? std::isnan(at(2)) : at(2) == 0.0f);
      EXPECT_EQ(at(3), 0.0f);
      EXPECT_EQ(at(4), 0.0f);
    }
    EXPECT_TRUE(std::isnan(scale[1]));
    EXPECT_EQ(scale[2], 0.0f);
    EXPECT_NEAR(scale[3], 1 / std::sqrt(static_cast<double>(kEps)), 1e-3);
    EXPECT_EQ(scale[4], 0.0f);
  }
}

}  // namespace
}  // namespace caprl::kernels
