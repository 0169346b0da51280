// Turned heads against the formula in fp64: packed and separate memory, biases, pages, gradients.
#include "kernels/rotary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <random>

#include "kernels/device_buffer.h"
#include "kernels/numbers.h"

namespace caprl::kernels {
namespace {

struct Shape {
  int64_t rows, q_heads, kv_heads, dim;
};
std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.rows << " rows, " << s.q_heads << " + " << s.kv_heads << " heads of " << s.dim;
}

// Heads of one pair, with an odd half, with halves that chunks of 16 bytes, of 8, and no chunks
// divide; fewer items than a warp, more than a block, several rows to a block; no q, no k.
const Shape kShapes[] = {{1, 1, 1, 2},    {3, 2, 1, 6},     {2, 3, 2, 34},   {7, 2, 1, 64},
                         {5, 16, 2, 128}, {4, 12, 12, 72},  {3, 16, 16, 80}, {2, 2, 1, 256},
                         {33, 1, 1, 8},   {1101, 2, 1, 16}, {1, 40, 8, 128}, {40, 0, 1, 24},
                         {6, 3, 0, 16}};

template <class Table>
struct Angles {
  std::vector<Table> cos, sin;

  explicit Angles(const Shape& shape) {
    std::mt19937 generator(7);
    std::uniform_real_distribution<double> angle(-100, 100);
    for (int64_t i = 0; i < shape.rows * shape.dim / 2; ++i) {
      const double a = angle(generator);
      cos.push_back(from_float<Table>(static_cast<float>(std::cos(a))));
      sin.push_back(from_float<Table>(static_cast<float>(std::sin(a))));
    }
  }
};

/// An exact result and the sum of its terms' magnitudes.
struct Exact {
  double value, terms;
};
Exact operator*(const Exact& x, double factor) {
  return {x.value * factor, x.terms * std::abs(factor)};
}
Exact operator+(const Exact& a, const Exact& b) { return {a.value + b.value, a.terms + b.terms}; }

/// Heads of an input: row n's begin at values[begin + n · stride].
template <class T>
struct Heads {
  const std::vector<T>& values;
  int64_t begin, stride, count;
  const std::vector<T>* bias = nullptr;

  Exact at(int64_t row, int64_t column) const {
    const double x = to_float(values[begin + row * stride + column]);
    const double b = bias != nullptr ? to_float((*bias)[column]) : 0;
    return Exact{x, std::abs(x)} + Exact{b, std::abs(b)};
  }
};

/// Where the heads of a row begin in memory; −1: nowhere.
using Place = std::function<int64_t(int64_t row)>;
Place rows(int64_t begin, int64_t stride) {
  return [=](int64_t row) { return begin + row * stride; };
}

/// What memory must hold: exact results where they were put, the same bits as before elsewhere.
template <class T>
class Expected {
 public:
  explicit Expected(DeviceBuffer<T>& memory)
      : memory_(memory), before_(memory.values()), exact_(before_.size()), put_(before_.size()) {}

  template <class Table>
  void put_turned(const Place& place, const Heads<T>& in, const Shape& shape,
                  const Angles<Table>& angles, double sign) {
    const int64_t half = shape.dim / 2;
    for (int64_t row = 0; row < shape.rows; ++row) {
      for (int64_t i = 0; i < in.count * half; ++i) {
        const int64_t x = i / half * shape.dim + i % half, y = x + half;
        const double c = to_float(angles.cos[row * half + i % half]);
        const double s = sign * to_float(angles.sin[row * half + i % half]);
        put(place(row), x, in.at(row, x) * c + in.at(row, y) * -s);
        put(place(row), y, in.at(row, y) * c + in.at(row, x) * s);
      }
    }
  }
  void put_biased(const Place& place, const Heads<T>& in, const Shape& shape) {
    for (int64_t row = 0; row < shape.rows; ++row)
      for (int64_t i = 0; i < in.count * shape.dim; ++i) put(place(row), i, in.at(row, i));
  }

  /// Computed in float and rounded once: three float roundings of the terms, one of the result.
  void check(const char* what) const {
    constexpr double kHalfUlp = sizeof(T) == 2 ? 0x1p-8 : 0x1p-24;
    const std::vector<T> got = memory_.values();
    for (size_t i = 0; i < got.size(); ++i) {
      if (put_[i])
        ASSERT_LE(std::abs(to_float(got[i]) - exact_[i].value),
                  kHalfUlp * std::abs(exact_[i].value) + 0x1p-22 * exact_[i].terms)
            << what << "[" << i << "]: expected " << exact_[i].value << ", got "
            << to_float(got[i]);
      else
        ASSERT_EQ(std::memcmp(&got[i], &before_[i], sizeof(T)), 0)
            << what << "[" << i << "] was written";
    }
  }

 private:
  void put(int64_t begin, int64_t column, const Exact& exact) {
    if (begin < 0) return;
    exact_[begin + column] = exact;
    put_[begin + column] = true;
  }

  DeviceBuffer<T>& memory_;
  std::vector<T> before_;
  std::vector<Exact> exact_;
  std::vector<bool> put_;
};

template <class T, class Table>
Rotary<T, Table> call(const Shape& shape, DeviceBuffer<Table>& cos, DeviceBuffer<Table>& sin) {
  return {.num_rows = shape.rows,
          .num_q_heads = shape.q_heads,
          .num_kv_heads = shape.kv_heads,
          .head_dim = shape.dim,
          .cos = cos.get(),
          .sin = sin.get()};
}

/// q, k and v are turned inside one product [rows, q | k | v | padding].
template <class T, class Table>
void check_packed(const Shape& shape, bool biased, int64_t padding = 0) {
  SCOPED_TRACE(testing::Message() << shape << ", biased " << biased << ", padding " << padding);
  const int64_t q_width = shape.q_heads * shape.dim, kv_width = shape.kv_heads * shape.dim;
  const int64_t v_begin = q_width + kv_width, stride = q_width + 2 * kv_width + padding;
  const auto product = random_values<T>(shape.rows * stride, 1, 2);
  const auto q_bias = random_values<T>(q_width, 2), k_bias = random_values<T>(kv_width, 3);
  const auto v_bias = random_values<T>(kv_width, 4);
  const Angles<Table> angles(shape);
  DeviceBuffer<T> memory(product);
  DeviceBuffer<T> q_memory(q_bias), k_memory(k_bias), v_memory(v_bias);
  DeviceBuffer<Table> cos(angles.cos), sin(angles.sin);
  Rotary<T, Table> rotary = call<T>(shape, cos, sin);
  rotary.q = {memory.get(), stride, biased ? q_memory.get() : nullptr};
  rotary.k = {memory.get() + q_width, stride, biased ? k_memory.get() : nullptr};
  rotary.q_out = {memory.get(), stride};
  rotary.k_out = {memory.get() + q_width, stride};
  Expected<T> expected(memory);
  expected.put_turned(rows(0, stride),
                      {product, 0, stride, shape.q_heads, biased ? &q_bias : nullptr}, shape,
                      angles, 1);
  expected.put_turned(rows(q_width, stride),
                      {product, q_width, stride, shape.kv_heads, biased ? &k_bias : nullptr}, shape,
                      angles, 1);
  if (biased) {
    rotary.v = {memory.get() + v_begin, stride, v_memory.get()};
    rotary.v_out = {memory.get() + v_begin, stride};
    expected.put_biased(rows(v_begin, stride), {product, v_begin, stride, shape.kv_heads, &v_bias},
                        shape);
  }
  rotary_forward(rotary, nullptr);
  expected.check("product");
}

/// Scattered, no two equal; every fourth row has none.
std::vector<int64_t> random_slots(int64_t num_rows, int64_t num_slots) {
  std::vector<int64_t> slots(num_slots);
  std::iota(slots.begin(), slots.end(), 0);
  std::shuffle(slots.begin(), slots.end(), std::mt19937(8));
  slots.resize(num_rows);
  for (int64_t row = 3; row < num_rows; row += 4) slots[row] = -1;
  return slots;
}

/// Inputs of their own with biases, outputs of their own, `kv_outputs` for k and v, and pages.
/// `odd`: which one of the 13 addresses and 6 strides is no multiple of a chunk; −1: none.
constexpr int kNumOdd = 19;

template <class T, class Table>
void check_separate(const Shape& shape, bool kv_outputs, int odd = -1) {
  SCOPED_TRACE(testing::Message() << shape << ", outputs " << kv_outputs << ", odd " << odd);
  const auto extra = [odd](int which) { return which == odd ? 1 : 0; };
  const int64_t q_width = shape.q_heads * shape.dim, kv_width = shape.kv_heads * shape.dim;
  const int64_t q_stride = q_width + 8 + extra(13), k_stride = kv_width + extra(14);
  const int64_t v_stride = kv_width + 16 + extra(15), q_out_stride = q_width + 24 + extra(16);
  const int64_t k_out_stride = kv_width + 8 + extra(17), v_out_stride = kv_width + extra(18);
  const auto q_in = random_values<T>(shape.rows * q_stride, 1);
  const auto k_in = random_values<T>(shape.rows * k_stride, 2);
  const auto v_in = random_values<T>(shape.rows * v_stride, 3);
  const auto q_bias = random_values<T>(q_width, 4), k_bias = random_values<T>(kv_width, 5);
  const auto v_bias = random_values<T>(kv_width, 6);
  const Angles<Table> angles(shape);
  const int64_t num_slots = 3 * shape.rows + 5;
  const std::vector<int64_t> slots = random_slots(shape.rows, num_slots);
  DeviceBuffer<T> q(q_in, extra(0)), k(k_in, extra(1)), v(v_in, extra(2));
  DeviceBuffer<T> q_b(q_bias, extra(3)), k_b(k_bias, extra(4)), v_b(v_bias, extra(5));
  DeviceBuffer<T> q_out(shape.rows * q_out_stride, extra(6));
  DeviceBuffer<T> k_out(shape.rows * k_out_stride, extra(7));
  DeviceBuffer<T> v_out(shape.rows * v_out_stride, extra(8));
  DeviceBuffer<T> k_pages(num_slots * kv_width, extra(9)), v_pages(num_slots * kv_width, extra(10));
  DeviceBuffer<Table> cos(angles.cos, extra(11)), sin(angles.sin, extra(12));
  DeviceBuffer<int64_t> places(slots);
  Rotary<T, Table> rotary = call<T>(shape, cos, sin);
  rotary.q = {q.get(), q_stride, q_b.get()};
  rotary.k = {k.get(), k_stride, k_b.get()};
  rotary.v = {v.get(), v_stride, v_b.get()};
  rotary.q_out = {q_out.get(), q_out_stride};
  if (kv_outputs) rotary.k_out = {k_out.get(), k_out_stride};
  if (kv_outputs) rotary.v_out = {v_out.get(), v_out_stride};
  rotary.k_pages = k_pages.get();
  rotary.v_pages = v_pages.get();
  rotary.slots = places.get();

  const Heads<T> q_heads{q_in, 0, q_stride, shape.q_heads, &q_bias};
  const Heads<T> k_heads{k_in, 0, k_stride, shape.kv_heads, &k_bias};
  const Heads<T> v_heads{v_in, 0, v_stride, shape.kv_heads, &v_bias};
  const Place pages = [&](int64_t row) { return slots[row] < 0 ? -1 : slots[row] * kv_width; };
  const Expected<T> q_same(q), k_same(k), v_same(v);
  Expected<T> q_turned(q_out), k_turned(k_out), v_biased(v_out), k_paged(k_pages), v_paged(v_pages);
  q_turned.put_turned(rows(0, q_out_stride), q_heads, shape, angles, 1);
  if (kv_outputs) k_turned.put_turned(rows(0, k_out_stride), k_heads, shape, angles, 1);
  if (kv_outputs) v_biased.put_biased(rows(0, v_out_stride), v_heads, shape);
  k_paged.put_turned(pages, k_heads, shape, angles, 1);
  v_paged.put_biased(pages, v_heads, shape);
  rotary_forward(rotary, nullptr);
  q_same.check("q");
  k_same.check("k");
  v_same.check("v");
  q_turned.check("q_out");
  k_turned.check("k_out");
  v_biased.check("v_out");
  k_paged.check("k_pages");
  v_paged.check("v_pages");
}

template <class T, class Table>
void check_backward(const Shape& shape) {
  SCOPED_TRACE(testing::Message() << shape);
  const int64_t q_stride = shape.q_heads * shape.dim + 8,
                k_stride = shape.kv_heads * shape.dim + 16;
  const auto d_q = random_values<T>(shape.rows * q_stride, 1);
  const auto d_k = random_values<T>(shape.rows * k_stride, 2);
  const Angles<Table> angles(shape);
  DeviceBuffer<T> q(d_q), k(d_k);
  DeviceBuffer<Table> cos(angles.cos), sin(angles.sin);
  Expected<T> q_turned(q), k_turned(k);
  q_turned.put_turned(rows(0, q_stride), {d_q, 0, q_stride, shape.q_heads}, shape, angles, -1);
  k_turned.put_turned(rows(0, k_stride), {d_k, 0, k_stride, shape.kv_heads}, shape, angles, -1);
  rotary_backward(RotaryGradient<T, Table>{.num_rows = shape.rows,
                                           .num_q_heads = shape.q_heads,
                                           .num_kv_heads = shape.kv_heads,
                                           .head_dim = shape.dim,
                                           .cos = cos.get(),
                                           .sin = sin.get(),
                                           .d_q = q.get(),
                                           .q_stride = q_stride,
                                           .d_k = k.get(),
                                           .k_stride = k_stride},
                  nullptr);
  q_turned.check("d_q");
  k_turned.check("d_k");
}

template <class T_, class Table_>
struct Types {
  using T = T_;
  using Table = Table_;
};
using RotaryTypes = ::testing::Types<Types<float, float>, Types<Bf16, Bf16>, Types<Bf16, float>>;

template <class Types>
class RotaryKernel : public ::testing::Test {};
TYPED_TEST_SUITE(RotaryKernel, RotaryTypes);

TYPED_TEST(RotaryKernel, TurnsAPackedProductInPlace) {
  for (const Shape& shape : kShapes)
    for (const bool biased : {false, true})
      check_packed<typename TypeParam::T, typename TypeParam::Table>(shape, biased);
}

TYPED_TEST(RotaryKernel, LeavesPadding) {
  for (const Shape& shape : {Shape{3, 2, 1, 64}, Shape{3, 3, 2, 72}, Shape{2, 1, 1, 10}})
    for (const int64_t padding : {1, 2, 4, 8})
      check_packed<typename TypeParam::T, typename TypeParam::Table>(shape, true, padding);
}

TYPED_TEST(RotaryKernel, WritesOutputsAndPages) {
  for (const Shape& shape : kShapes)
    for (const bool kv_outputs : {false, true})
      check_separate<typename TypeParam::T, typename TypeParam::Table>(shape, kv_outputs);
}

TYPED_TEST(RotaryKernel, TakesAnyAlignment) {
  for (int odd = 0; odd < kNumOdd; ++odd)
    check_separate<typename TypeParam::T, typename TypeParam::Table>({3, 2, 1, 64}, true, odd);
}

TYPED_TEST(RotaryKernel, GradientsAreTurnedBack) {
  for (const Shape& shape : kShapes)
    check_backward<typename TypeParam::T, typename TypeParam::Table>(shape);
}

/// The CPU path rounds each product to bfloat16 before the sum: half a unit of each term more, and
/// of the result twice.
TEST(RotaryKernelBf16, IsAsCloseToTheCpuPathAsItsRoundingsAllow) {
  const Shape shape{50, 4, 0, 64};
  const int64_t half = shape.dim / 2, stride = shape.q_heads * shape.dim;
  const auto in = random_values<Bf16>(shape.rows * stride, 1, 3);
  const Angles<Bf16> angles(shape);
  DeviceBuffer<Bf16> memory(in), cos(angles.cos), sin(angles.sin);
  Rotary<Bf16, Bf16> rotary = call<Bf16>(shape, cos, sin);
  rotary.q = {memory.get(), stride};
  rotary.q_out = {memory.get(), stride};
  rotary_forward(rotary, nullptr);
  const std::vector<Bf16> got = memory.values();
  const auto product = [](Bf16 a, Bf16 b) { return to_float(to_bf16(to_float(a) * to_float(b))); };
  int64_t different = 0;
  for (int64_t i = 0; i < shape.rows * stride / 2; ++i) {
    const int64_t x = i / half * shape.dim + i % half, y = x + half;
    const int64_t angle = i / half / shape.q_heads * half + i % half;
    const Bf16 c = angles.cos[angle], s = angles.sin[angle];
    const auto compare = [&](int64_t place, float a, float b) {
      const float cpu = to_float(to_bf16(a + b)), ours = to_float(got[place]);
      const float roundings = std::abs(a) + std::abs(b) + std::abs(cpu) + std::abs(ours);
      ASSERT_LE(std::abs(ours - cpu), 1.01 * 0x1p-8 * roundings) << place;
      different += ours != cpu;
    };
    compare(x, product(in[x], c), -product(in[y], s));
    compare(y, product(in[y], c), product(in[x], s));
  }
  EXPECT_GT(different, 0) << "the difference that the interface speaks of is not there";
}

TYPED_TEST(RotaryKernel, NanAndInfinityStayInTheirPair) {
  using T = typename TypeParam::T;
  using Table = typename TypeParam::Table;
  const Shape shape{3, 2, 2, 32};
  const int64_t stride = 64, nan_at = 1 * stride + 32 + 5, infinity_at = 2 * stride + 9;
  auto in = random_values<T>(shape.rows * stride, 1);
  in[nan_at] = from_float<T>(std::numeric_limits<float>::quiet_NaN());
  in[infinity_at] = from_float<T>(std::numeric_limits<float>::infinity());
  const Angles<Table> angles(shape);
  DeviceBuffer<T> q(in), k(in), v(in);
  DeviceBuffer<Table> cos(angles.cos), sin(angles.sin);
  Rotary<T, Table> rotary = call<T>(shape, cos, sin);
  rotary.q = {q.get(), stride};
  rotary.k = {k.get(), stride};
  rotary.v = {v.get(), stride};
  rotary.q_out = {q.get(), stride};
  rotary.k_out = {k.get(), stride};
  rotary.v_out = {v.get(), stride};
  rotary_forward(rotary, nullptr);
  const auto got_q = to_double(q.values()), got_k = to_double(k.values());
  const auto got_v = to_double(v.values());
  for (int64_t i = 0; i < shape.rows * stride; ++i) {
    for (const double got : {got_q[i], got_k[i]}) {
      EXPECT_EQ(std::isnan(got), i == nan_at || i == nan_at + 16) << i;
      EXPECT_EQ(std::isinf(got), i == infinity_at || i == infinity_at + 16) << i;
    }
    // v is not turned.
    EXPECT_TRUE(i == nan_at ? std::isnan(got_v[i]) : got_v[i] == to_float(in[i])) << i;
  }
}

TYPED_TEST(RotaryKernel, NothingIsNoWork) {
  using T = typename TypeParam::T;
  using Table = typename TypeParam::Table;
  check_packed<T, Table>({0, 2, 1, 64}, true);
  check_packed<T, Table>({3, 0, 0, 64}, true, 8);
  rotary_forward(Rotary<T, Table>{}, nullptr);
  rotary_backward(RotaryGradient<T, Table>{}, nullptr);
}

}  // namespace
}  // namespace caprl::kernels
