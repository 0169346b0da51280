// The gradient of rms_norm against the formula in fp64, as intervals that rounding cannot leave.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/rms_norm.h"
#include "kernels/row_operand.h"

namespace caprl::kernels {
namespace {

constexpr float kEps = 1e-6f;
constexpr double kU = kFloatRounding;

// Widths around packs, warps and what registers hold; rows that are few, several to a warp, several
// to a thread.
std::vector<RowShape> shapes() {
  std::vector<RowShape> result = {
      {0, 8},     {4, 0},     {1, 1},        {3, 7},          {33, 8},    {5, 63},    {41, 64},
      {7, 72, 8}, {9, 80, 3}, {3, 129},      {2, 256},        {3, 264},   {3, 520},   {2, 1536},
      {1, 8192},  {1, 8200},  {4, 64, 0, 1}, {3, 1024, 0, 3}, {150, 128}, {30, 1032}, {21, 1031}};
  add_misaligned(result, 5);  // the weight is the last
  return result;
}

/// Of the additions that a value of a row goes through in a sum over the row, at most: those of its
/// thread (16 values held, or one of 256 threads' share), of two warps, and what follows.
double sum_error(int64_t width) { return kU * (16 + static_cast<double>(width) / 256 + 10 + 4); }

double scale_of(const std::vector<double>& x) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  return 1 / std::sqrt(squares / static_cast<double>(x.size()) + static_cast<double>(kEps));
}

/// Exact gradients, and how far a computation in float may be from them.
struct Gradients {
  std::vector<std::vector<double>> dx, dx_error;
  std::vector<double> dweight, dweight_error;
};

template <class T>
struct Backward {
  RowShape shape;
  RowOperand<T> x, dy, dsum, dx, weight;
  std::vector<float> scales, dweight_before;
  DeviceBuffer<float> scale, dweight, workspace;
  // That a term of dweight goes through at most, in whatever order: no more than there are rows,
  // and slices in the last sum.
  double additions;

  explicit Backward(const RowShape& s)
      : shape(s),
        x(s, 0),
        dy(s, 1),
        dsum(s, 2),
        dx(s, 3),
        weight({1, s.width}, s.width, s.offset_of(4), random_values<T>(s.width, 9, 0.5, 1.0)),
        scales(scales_of(x)),
        dweight_before(random_values<float>(s.width, 5)),
        scale(scales),
        dweight(dweight_before),
        workspace(rms_norm_workspace<T>(s.num_rows, s.width)),
        additions(static_cast<double>(s.num_rows) + 70) {}

  static std::vector<float> scales_of(const RowOperand<T>& x) {
    std::vector<float> result;
    for (int64_t row = 0; row < x.num_rows; ++row)
      result.push_back(static_cast<float>(scale_of(x.row(row))));
    return result;
  }

  void run(bool added, RowOperand<T>& out, bool weight_wanted = true) {
    rms_norm_backward(RmsNormBackward<T>{.dy = dy.get(),
                                         .x = x.get(),
                                         .weight = weight.get(),
                                         .scale = scale.get(),
                                         .dsum = added ? dsum.get() : nullptr,
                                         .dx = out.get(),
                                         .dweight = weight_wanted ? dweight.get() : nullptr,
                                         .workspace = weight_wanted ? workspace.get() : nullptr,
                                         .dy_stride = dy.stride,
                                         .x_stride = x.stride,
                                         .dsum_stride = dsum.stride,
                                         .dx_stride = out.stride,
                                         .num_rows = shape.num_rows,
                                         .width = shape.width},
                      nullptr);
  }

  Gradients reference(bool added) const {
    Gradients g;
    g.dweight = to_double(dweight_before);
    std::vector<double> dweight_terms;
    for (const double before : g.dweight) dweight_terms.push_back(std::abs(before));
    const double width = static_cast<double>(shape.width);
    for (int64_t row = 0; row < shape.num_rows; ++row) {
      const double s = scale_of(x.row(row));
      double along = 0, along_terms = 0;
      for (int64_t j = 0; j < shape.width; ++j) {
        const double n = x(row, j) * s, through = dy(row, j) * weight(0, j);
        along += n * through / width;
        along_terms += std::abs(n * through) / width;
        g.dweight[j] += dy(row, j) * n;
        dweight_terms[j] += std::abs(dy(row, j) * n);
      }
      g.dx.emplace_back();
      g.dx_error.emplace_back();
      for (int64_t j = 0; j < shape.width; ++j) {
        const double n = x(row, j) * s, through = dy(row, j) * weight(0, j);
        const double extra = added ? dsum(row, j) : 0;
        g.dx.back().push_back(s * (through - n * along) + extra);
        // Of scale (given in float) and products 8 roundings at most, and what the sum lost.
        g.dx_error.back().push_back(
            8 * kU * s * (std::abs(through) + std::abs(n * along)) + 2 * kU * std::abs(extra) +
            (sum_error(shape.width) + 4 * kU) * s * std::abs(n) * along_terms);
      }
    }
    for (const double terms : dweight_terms) g.dweight_error.push_back(kU * additions * terms);
    return g;
  }

  void expect_gradients(bool added, RowOperand<T>& out, bool weight_wanted = true) {
    const Gradients g = reference(added);
    out.expect([&](int64_t r, int64_t j) { return rounded<T>(g.dx[r][j], g.dx_error[r][j]); },
               "dx");
    const std::vector<float> got = dweight.values();
    for (int64_t j = 0; j < shape.width; ++j) {
      if (weight_wanted)
        ASSERT_NEAR(got[j], g.dweight[j], g.dweight_error[j]) << "dweight of column " << j;
      else
        ASSERT_EQ(got[j], dweight_before[j]);
    }
  }
};

template <class T>
class RmsNormBackwardKernel : public ::testing::Test {};
TYPED_TEST_SUITE(RmsNormBackwardKernel, ElementTypes);

TYPED_TEST(RmsNormBackwardKernel, Backward) {
  for (const RowShape& shape : shapes()) {
    SCOPED_TRACE(testing::Message() << shape);
    for (const bool added : {false, true}) {
      if (!added && shape.width > 600) continue;  // for the time it takes
      Backward<TypeParam> problem(shape);
      const bool weight_wanted = shape.width <= 8192;
      problem.run(added, problem.dx, weight_wanted);
      problem.expect_gradients(added, problem.dx, weight_wanted);
    }
    if (this->HasFatalFailure()) return;
  }
}

TYPED_TEST(RmsNormBackwardKernel, WritesOverItsInputs) {
  for (const int64_t width : {13, 64, 1040}) {
    SCOPED_TRACE(width);
    const RowShape shape{5, width};
    Backward<TypeParam> over_x(shape), over_dy(shape), over_dsum(shape);
    over_x.run(true, over_x.x);
    over_x.expect_gradients(true, over_x.x);
    over_dy.run(true, over_dy.dy);
    over_dy.expect_gradients(true, over_dy.dy);
    over_dsum.run(true, over_dsum.dsum);
    over_dsum.expect_gradients(true, over_dsum.dsum);
  }
}

TYPED_TEST(RmsNormBackwardKernel, WeightsGradientNeedNotBeWanted) {
  for (const int64_t width : {13, 64, 2048}) {
    SCOPED_TRACE(width);
    Backward<TypeParam> problem(RowShape{9, width});
    problem.run(true, problem.dx, false);
    problem.expect_gradients(true, problem.dx, false);
  }
}

// Rows share warps and blocks, but nothing of what they hold.
TYPED_TEST(RmsNormBackwardKernel, OddValuesStayInTheirRows) {
  for (const int64_t width : {7, 64, 1040}) {
    SCOPED_TRACE(width);
    Backward<TypeParam> odd(RowShape{6, width}), usual(RowShape{6, width});
    usual.run(true, usual.dx);
    const TypeParam nan = from_float<TypeParam>(std::nanf(""));
    copy_to_device(odd.dy.get() + 2 * odd.dy.stride + 4, &nan, sizeof nan);
    odd.run(true, odd.dx);
    const std::vector<TypeParam> dx = odd.dx.buffer.values(), expected = usual.dx.buffer.values();
    const std::vector<float> dweight = odd.dweight.values();
    for (int64_t j = 0; j < width; ++j) {
      for (int64_t row = 0; row < 6; ++row) {
        const int64_t i = row * odd.dx.stride + j;
        if (row == 2)
          EXPECT_TRUE(std::isnan(to_float(dx[i])));
        else
          EXPECT_EQ(to_float(dx[i]), to_float(expected[i])) << row << ", " << j;
      }
      EXPECT_EQ(std::isnan(dweight[j]), j == 4) << j;
    }
  }
}

// Sums are taken in one order, whatever memory held before.
TYPED_TEST(RmsNormBackwardKernel, SameBytesEveryTime) {
  for (const RowShape& shape : {RowShape{300, 128}, RowShape{70, 1032}, RowShape{40, 33}}) {
    Backward<TypeParam> first(shape), second(shape);
    first.run(true, first.dx);
    second.run(true, second.dx);  // leaves its partial sums in the workspace
    copy_to_device(second.dweight.get(), second.dweight_before.data(), shape.width * sizeof(float));
    second.run(true, second.dx);
    EXPECT_EQ(first.dweight.values(), second.dweight.values());
    EXPECT_EQ(to_double(first.dx.buffer.values()), to_double(second.dx.buffer.values()));
  }
}

// The grid of the backward pass is as large on every device: 132 · 1024 threads.
TEST(RmsNormBackwardKernelLoop, MoreRowsThanTheGrid) {
  Backward<Bf16> problem(RowShape{16910, 2});
  problem.additions = 5 + 4224 / 16 + 16 + 4;  // of a block, of a slice of 4224 blocks, of slices
  problem.run(false, problem.dx);
  problem.expect_gradients(false, problem.dx);
}

// The gradient is that of the forward pass: central differences in double.
TEST(RmsNormBackwardKernelInDouble, FiniteDifferences) {
  constexpr int64_t kRows = 3, kWidth = 16;
  Backward<float> problem(RowShape{kRows, kWidth});
  problem.run(true, problem.dx);
  const std::vector<float> dx = problem.dx.buffer.values(), dweight = problem.dweight.values();
  // Σ dy · y + Σ dsum · sum, with one of x or of the weight moved by h.
  const auto loss = [&](int64_t moved_row, int64_t moved, double h) {
    double sum = 0;
    for (int64_t row = 0; row < kRows; ++row) {
      std::vector<double> x = problem.x.row(row);
      if (row == moved_row) x[moved] += h;
      const double scale = scale_of(x);
      for (int64_t j = 0; j < kWidth; ++j) {
        const double weight = problem.weight(0, j) + (moved_row < 0 && j == moved ? h : 0);
        sum += problem.dy(row, j) * weight * x[j] * scale + problem.dsum(row, j) * x[j];
      }
    }
    return sum;
  };
  const double h = 1e-5, tolerance = 1e-5;  // 10⁻¹⁴ / h of the sums, h², and floats around 10
  for (int64_t j = 0; j < kWidth; ++j) {
    for (int64_t row = 0; row < kRows; ++row)
      EXPECT_NEAR(dx[row * problem.dx.stride + j], (loss(row, j, h) - loss(row, j, -h)) / (2 * h),
                  tolerance);
    EXPECT_NEAR(dweight[j] - problem.dweight_before[j],
                (loss(-1, j, h) - loss(-1, j, -h)) / (2 * h), tolerance);
  }
}

}  // namespace
}  // namespace caprl::kernels
