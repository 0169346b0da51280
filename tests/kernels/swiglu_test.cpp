// SwiGLU and its gradient against the formula in fp64, as intervals that rounding cannot leave.
#include "kernels/swiglu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/row_operand.h"

namespace caprl::kernels {
namespace {

// Widths around packs, a row's threads and their two units each; rows that are few, many to a
// block, and more than the emulated grid covers at once.
std::vector<RowShape> shapes() {
  std::vector<RowShape> result = {
      {0, 8},     {4, 0},      {1, 1},     {3, 7},        {5, 8, 8},     {2, 63, 1},
      {7, 64, 3}, {300, 16},   {2, 129},   {3, 520, 8},   {2, 4096, 4},  {2, 4104},
      {1, 11008}, {260, 1032}, {130, 301}, {4, 64, 0, 1}, {3, 128, 0, 2}};
  add_misaligned(result, 5);
  return result;
}

/// Gates around and far beyond where silu bends.
template <class T>
std::vector<T> gates(size_t count, unsigned seed) {
  std::vector<T> values = random_values<T>(count, seed, 4.0);
  const float special[] = {0.0f, -0.0f, 20.0f, -20.0f, 87.0f, -87.0f, 89.0f, -89.0f, 1e4f, -1e4f};
  for (size_t i = 0; i < count; i += 7) values[i] = from_float<T>(special[i / 7 % 10]);
  return values;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// Relative error of the kernel's sigmoid (see there), and of one product more.
double sigmoid_error(double x) { return kFloatRounding * (1.25 * std::max(0.0, -x) + 13); }
constexpr double kUnderflow = 0x1p-125;  // beyond e⁻ˣ = 2¹²⁶ it gives 0

template <class T>
Interval silu(double x) {
  const double exact = x * sigmoid(x);
  return rounded<T>(exact, std::abs(exact) * sigmoid_error(x) + std::abs(x) * kUnderflow);
}

/// d silu / d x and how far floats may be from it: those of s, of 1 − s, of the sum, of products.
struct Slope {
  double value, error;
};
Slope slope(double x) {
  const double s = sigmoid(x), bend = 1 + x * (1 - s), relative = sigmoid_error(x);
  const double bend_error =
      std::abs(x) * (s * relative + 2 * kFloatRounding * (1 - s)) + kFloatRounding;
  return {s * bend, s * (std::abs(bend) * (relative + 3 * kFloatRounding) + 2 * bend_error) +
                        kUnderflow * (1 + std::abs(x))};
}

/// Both passes over one shape; gate and up in memory of their own, or halves of one [N, 2F].
template <class T>
struct Problem {
  RowShape shape;
  bool halves;
  RowOperand<T> gate, up, dout, first, second;  // the last two for the outputs

  explicit Problem(const RowShape& s, bool halves_ = false)
      : shape(s),
        halves(halves_),
        gate(s, gate_stride(), s.offset_of(0), gates<T>(s.num_rows * gate_stride(), 1)),
        up(s, 1),
        dout(s, 2),
        first(s, 3),
        second(s, 4) {}

  int64_t gate_stride() const { return shape.stride(0) + (halves ? shape.width : 0); }
  int64_t up_stride() const { return halves ? gate.stride : up.stride; }
  T* up_pointer() { return halves ? gate.get() + shape.width : up.get(); }
  double up_at(int64_t row, int64_t column) const {
    return halves ? gate(row, shape.width + column) : up(row, column);
  }

  void forward(RowOperand<T>& out) {
    swiglu(SwiGlu<T>{.gate = gate.get(),
                     .up = up_pointer(),
                     .out = out.get(),
                     .gate_stride = gate.stride,
                     .up_stride = up_stride(),
                     .out_stride = out.stride,
                     .num_rows = shape.num_rows,
                     .width = shape.width},
           nullptr);
    out.expect(
        [&](int64_t row, int64_t column) {
          return times<T>(up_at(row, column), silu<T>(gate(row, column)));
        },
        "out");
  }

  void backward(RowOperand<T>& dgate, RowOperand<T>& dup) {
    swiglu_backward(SwiGluBackward<T>{.gate = gate.get(),
                                      .up = up_pointer(),
                                      .dout = dout.get(),
                                      .dgate = dgate.get(),
                                      .dup = dup.get(),
                                      .gate_stride = gate.stride,
                                      .up_stride = up_stride(),
                                      .dout_stride = dout.stride,
                                      .dgate_stride = dgate.stride,
                                      .dup_stride = dup.stride,
                                      .num_rows = shape.num_rows,
                                      .width = shape.width},
                    nullptr);
    dgate.expect(
        [&](int64_t row, int64_t column) {
          const double outer = dout(row, column) * up_at(row, column);
          const Slope s = slope(gate(row, column));
          return rounded<T>(outer * s.value,
                            std::abs(outer) * (s.error + 2 * kFloatRounding * std::abs(s.value)));
        },
        "dgate");
    dup.expect(
        [&](int64_t row, int64_t column) {
          return times<T>(dout(row, column), silu<T>(gate(row, column)));
        },
        "dup");
  }
};

template <class T>
class SwiGluKernel : public ::testing::Test {};
TYPED_TEST_SUITE(SwiGluKernel, ElementTypes);

TYPED_TEST(SwiGluKernel, Forward) {
  for (const RowShape& shape : shapes()) {
    SCOPED_TRACE(testing::Message() << shape);
    Problem<TypeParam> problem(shape);
    problem.forward(problem.first);
  }
}

TYPED_TEST(SwiGluKernel, Backward) {
  for (const RowShape& shape : shapes()) {
    SCOPED_TRACE(testing::Message() << shape);
    Problem<TypeParam> problem(shape);
    problem.backward(problem.first, problem.second);
  }
}

TYPED_TEST(SwiGluKernel, HalvesOfOneProduct) {
  const RowShape all[] = {{2, 127}, {9, 136}, {3, 128, 0, 2}, {1, 11008}};
  for (const RowShape& shape : all) {
    SCOPED_TRACE(testing::Message() << shape);
    Problem<TypeParam> problem(shape, true);
    problem.forward(problem.first);
    problem.backward(problem.first, problem.second);
  }
}

TYPED_TEST(SwiGluKernel, WritesOverItsInputs) {
  using P = Problem<TypeParam>;
  for (const int64_t width : {13, 4112}) {
    const RowShape shape{3, width};
    P over_gate(shape), over_up(shape), gradients(shape), others(shape);
    over_gate.forward(over_gate.gate);
    over_up.forward(over_up.up);
    gradients.backward(gradients.gate, gradients.up);
    others.backward(others.dout, others.gate);
  }
}

// Beyond floats' exponents silu is its asymptote; what is not a number stays so, in its place only.
TYPED_TEST(SwiGluKernel, ExtremeGates) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const float gates[] = {infinity, -infinity, nan, 3e38f, -3e38f, 200.0f, -200.0f, 1.0f};
  const float expected_out[] = {infinity, nan, nan, 3e38f, 0.0f, 200.0f, 0.0f, 0.731058578630f};
  const float expected_dgate[] = {nan, nan, nan, 1.0f, 0.0f, 1.0f, 0.0f, 0.927670511871f};
  const std::vector<TypeParam> ones(8, from_float<TypeParam>(1.0f));
  std::vector<TypeParam> values;
  for (const float gate : gates) values.push_back(from_float<TypeParam>(gate));
  DeviceBuffer<TypeParam> gate(values), up(ones), dout(ones), out(8), dgate(8), dup(8);
  swiglu(SwiGlu<TypeParam>{.gate = gate.get(),
                           .up = up.get(),
                           .out = out.get(),
                           .gate_stride = 8,
                           .up_stride = 8,
                           .out_stride = 8,
                           .num_rows = 1,
                           .width = 8},
         nullptr);
  swiglu_backward(SwiGluBackward<TypeParam>{.gate = gate.get(),
                                            .up = up.get(),
                                            .dout = dout.get(),
                                            .dgate = dgate.get(),
                                            .dup = dup.get(),
                                            .gate_stride = 8,
                                            .up_stride = 8,
                                            .dout_stride = 8,
                                            .dgate_stride = 8,
                                            .dup_stride = 8,
                                            .num_rows = 1,
                                            .width = 8},
                  nullptr);
  const double relative = sizeof(TypeParam) == 2 ? 0x1p-8 : 0x1p-19;
  for (int i = 0; i < 8; ++i) {
    SCOPED_TRACE(gates[i]);
    const auto expect_like = [&](const std::vector<TypeParam>& got, float expected) {
      const float value = to_float(got[i]);
      if (std::isnan(expected))
        EXPECT_TRUE(std::isnan(value)) << value;
      else if (std::isinf(expected))
        EXPECT_EQ(value, expected);
      else
        EXPECT_NEAR(value, expected, relative * std::abs(expected));
    };
    expect_like(out.values(), expected_out[i]);
    expect_like(dup.values(), expected_out[i]);
    expect_like(dgate.values(), expected_dgate[i]);
  }
}

// The gradient is that of the forward pass: central differences in double.
TEST(SwiGluKernelGradient, FiniteDifferences) {
  constexpr int64_t kWidth = 32;
  Problem<float> in(RowShape{1, kWidth});
  in.backward(in.first, in.second);
  const std::vector<float> dgate = in.first.buffer.values(), dup = in.second.buffer.values();
  const auto loss = [&](int64_t i, double gate, double up) {
    return in.dout(0, i) * gate * sigmoid(gate) * up;
  };
  const double h = 1e-5;
  for (int64_t i = 0; i < kWidth; ++i) {
    const double gate = in.gate(0, i), up = in.up_at(0, i);
    // h² of the truncated series, 10⁻¹⁶ / h of doubles, and floats.
    const double tolerance = 1e-6 * (1 + std::abs(loss(i, gate, 1)) + std::abs(gate));
    EXPECT_NEAR(dgate[i], (loss(i, gate + h, up) - loss(i, gate - h, up)) / (2 * h), tolerance);
    EXPECT_NEAR(dup[i], (loss(i, gate, up + h) - loss(i, gate, up - h)) / (2 * h), tolerance);
  }
}

}  // namespace
}  // namespace caprl::kernels
