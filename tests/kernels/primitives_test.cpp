// Device functions against plain computations: the emulation and a GPU must agree on what they do.
#include "kernels/primitives.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

#include "kernels/device_buffer.h"
#include "kernels/numbers.h"

namespace caprl::kernels {
namespace {

template <class T>
class ShuffleTest : public ::testing::Test {};
using ShuffleTypes = ::testing::Types<int, unsigned, float, double, int64_t>;
TYPED_TEST_SUITE(ShuffleTest, ShuffleTypes);

TYPED_TEST(ShuffleTest, GivesTheValueOfTheLaneThatItNames) {
  constexpr int kThreads = 96;
  std::vector<TypeParam> in(kThreads);
  for (int i = 0; i < kThreads; ++i)  // all bytes differ from lane to lane
    in[i] = static_cast<TypeParam>((i + 1) * 0x01010101LL * (sizeof(TypeParam) == 8 ? 12345 : 1));
  for (int width : {32, 16, 4, 1}) {
    for (int argument : {0, 1, 2, 5, 16, 31}) {
      DeviceBuffer<TypeParam> values(in), from_lane(kThreads), from_xor(kThreads),
          from_up(kThreads), from_down(kThreads);
      run_shuffles<TypeParam>({values.get(), kThreads, argument, width, from_lane.get(),
                               from_xor.get(), from_up.get(), from_down.get()});
      const auto lanes = from_lane.values(), xors = from_xor.values(), ups = from_up.values(),
                 downs = from_down.values();
      for (int i = 0; i < kThreads; ++i) {
        SCOPED_TRACE(testing::Message()
                     << "thread " << i << ", argument " << argument << ", width " << width);
        const int first = i / width * width, end = first + width;
        EXPECT_EQ(lanes[i], in[first + (argument + i) % width]);
        const int other = i / 32 * 32 + ((i % 32) ^ argument);
        EXPECT_EQ(xors[i], in[other < end ? other : i]);
        EXPECT_EQ(ups[i], in[i - argument >= first ? i - argument : i]);
        EXPECT_EQ(downs[i], in[i + argument < end ? i + argument : i]);
      }
    }
  }
}

TEST(Primitives, VotesCountEveryLaneOfTheMask) {
  constexpr int kThreads = 128;
  std::vector<int> in(kThreads, 0);  // warp 0: none, 1: all, 2: some, 3: one
  std::fill(in.begin() + 32, in.begin() + 64, 7);
  for (int i = 64; i < 96; ++i) in[i] = i % 3 == 0 ? -1 : 0;
  in[127] = 0x100;
  DeviceBuffer<int> predicates(in), any(kThreads), all(kThreads);
  DeviceBuffer<unsigned> ballot(kThreads), half(kThreads);
  run_votes({predicates.get(), kThreads, ballot.get(), any.get(), all.get(), half.get()});
  const auto ballots = ballot.values(), halves = half.values();
  const auto anys = any.values(), alls = all.values();
  for (int i = 0; i < kThreads; ++i) {
    unsigned expected = 0;
    for (int lane = 0; lane < 32; ++lane)
      expected |= (in[i / 32 * 32 + lane] != 0 ? 1u : 0u) << lane;
    EXPECT_EQ(ballots[i], expected) << i;
    EXPECT_EQ(anys[i], expected != 0) << i;
    EXPECT_EQ(alls[i], expected == 0xffffffffu) << i;
    EXPECT_EQ(halves[i], expected & (i % 2 == 0 ? 0x55555555u : 0xaaaaaaaau)) << i;
  }
}

template <class T>
void check_reductions(int block) {
  constexpr int kBlocks = 2;
  std::vector<T> in(static_cast<size_t>(kBlocks) * block);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<T>((i * 7919) % 1009) - 2000;
  DeviceBuffer<T> values(in), out(3 * kBlocks);
  run_block_reductions(values.get(), out.get(), kBlocks, block);
  const std::vector<T> results = out.values();
  for (int b = 0; b < kBlocks; ++b) {
    const auto begin = in.begin() + b * block, end = begin + block;
    EXPECT_EQ(results[3 * b], std::accumulate(begin, end, T(0))) << block << " threads";
    EXPECT_EQ(results[3 * b + 1], *std::max_element(begin, end)) << block << " threads";
    EXPECT_EQ(results[3 * b + 2], results[3 * b]) << block << " threads";
  }
}

TEST(Primitives, BlockReductionsOfEverySize) {
  for (int block : {32, 96, 256, 1024}) {
    check_reductions<int>(block);
    check_reductions<float>(block);  // of integers: exact in any order
  }
}

TEST(Primitives, BitFunctions) {
  const std::vector<unsigned> x = {0, 1, 0x80000000u, 0xffffffffu, 0x00f0a500u, 12345678u},
                              y = {0, 0xffffffffu, 2, 0xffffffffu, 0x10000u, 0x87654321u};
  const size_t n = x.size();
  DeviceBuffer<unsigned> xs(x), ys(y), out(kNumBitFunctions * n);
  run_bit_functions(xs.get(), ys.get(), static_cast<int>(n), out.get());
  const std::vector<unsigned> results = out.values();
  for (size_t i = 0; i < n; ++i) {
    const uint64_t wide = (uint64_t{x[i]} << 32) | y[i];
    const auto first_bit = [](uint64_t bits) -> unsigned {  // from 1; 0: none
      return bits == 0 ? 0u : static_cast<unsigned>(std::countr_zero(bits)) + 1;
    };
    const auto high = static_cast<uint64_t>((static_cast<unsigned __int128>(wide) * wide) >> 64);
    const std::vector<std::pair<const char*, unsigned>> expected = {
        {"popc", std::popcount(x[i])},
        {"popcll", std::popcount(wide)},
        {"clz", std::countl_zero(x[i])},
        {"clzll", std::countl_zero(wide)},
        {"ffs", first_bit(x[i])},
        {"ffsll", first_bit(wide)},
        {"umulhi", static_cast<unsigned>((uint64_t{x[i]} * y[i]) >> 32)},
        {"umul64hi", static_cast<unsigned>(high >> 32)},
        {"float_as_uint", x[i] & 0x3fffffffu},
        {"float_as_int", y[i] & 0x3fffffffu},
        {"max - min", x[i] > y[i] ? x[i] - y[i] : y[i] - x[i]}};
    ASSERT_EQ(expected.size(), kNumBitFunctions);
    for (size_t k = 0; k < expected.size(); ++k)
      EXPECT_EQ(results[k * n + i], expected[k].second) << expected[k].first << " of " << x[i];
  }
}

TEST(Primitives, FloatFunctions) {
  const std::vector<float> x = {0.25f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f},
                           y = {1.0f, -2.0f, 3.0f, 0.125f, -7.5f, 10.0f};
  const size_t n = x.size();
  DeviceBuffer<float> xs(x), ys(y), out(kNumFloatFunctions * n);
  run_float_functions(xs.get(), ys.get(), static_cast<int>(n), out.get());
  const std::vector<double> results = to_double(out.values());
  using Function = std::function<double(double, double)>;
  const std::vector<std::pair<const char*, Function>> functions = {
      {"rsqrt", [](double a, double) { return 1 / std::sqrt(a); }},
      {"exp", [](double a, double) { return std::exp(a); }},
      {"log", [](double a, double) { return std::log(a); }},
      {"log2", [](double a, double) { return std::log2(a); }},
      {"sin", [](double a, double) { return std::sin(a); }},
      {"cos", [](double a, double) { return std::cos(a); }},
      {"exp2", [](double a, double) { return std::exp2(a); }},
      {"divide", [](double a, double b) { return a / b; }},
      {"reciprocal", [](double a, double) { return 1 / a; }},
      {"sqrt", [](double a, double) { return std::sqrt(a); }},
      {"fma", [](double a, double b) { return a * b + a; }}};
  ASSERT_EQ(functions.size(), kNumFloatFunctions);
  for (size_t k = 0; k < functions.size(); ++k)
    for (size_t i = 0; i < n; ++i)
      // CUDA's bounds of the approximate ones: absolute for logarithms and angles.
      EXPECT_NEAR(results[k * n + i], functions[k].second(x[i], y[i]),
                  1e-6 * std::abs(results[k * n + i]) + 1e-6)
          << functions[k].first << " of " << x[i];
}

TEST(Primitives, AtomicsMissNoThread) {
  constexpr int kBlocks = 5, kThreads = 160;
  std::vector<int> in(kBlocks * kThreads);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<int>(i * 7919 % 1009) - 500;
  DeviceBuffer<int> values(in), sum(std::vector<int>{10}), max(std::vector<int>{-1000}),
      min(std::vector<int>{1000});
  DeviceBuffer<unsigned> unsigned_max(std::vector<unsigned>{0});
  DeviceBuffer<unsigned long long> wide_sum(std::vector<unsigned long long>{1});
  DeviceBuffer<float> float_sum(std::vector<float>{0.5f});
  run_atomics({values.get(), sum.get(), max.get(), min.get(), unsigned_max.get(), wide_sum.get(),
               float_sum.get()},
              kBlocks, kThreads);
  EXPECT_EQ(sum.values()[0], std::accumulate(in.begin(), in.end(), 10));
  EXPECT_EQ(max.values()[0], *std::max_element(in.begin(), in.end()));
  EXPECT_EQ(min.values()[0], *std::min_element(in.begin(), in.end()));
  EXPECT_EQ(unsigned_max.values()[0], static_cast<unsigned>(-1));
  EXPECT_EQ(wide_sum.values()[0], 1 + 0x100000000ull * kBlocks * kThreads);
  EXPECT_EQ(float_sum.values()[0], 0.5f + kBlocks * kThreads);
}

TEST(Primitives, GridsOfThreeDimensions) {
  struct Grid {
    unsigned x, y, z;
    int block;
  };
  for (Grid grid : {Grid{1, 1, 1, 1}, {7, 1, 1, 33}, {3, 5, 1, 64}, {2, 3, 4, 100}}) {
    std::vector<int64_t> expected(size_t{grid.x} * grid.y * grid.z * grid.block);
    std::iota(expected.begin(), expected.end(), 0);
    DeviceBuffer<int64_t> out(expected.size());
    run_grid_places(grid.x, grid.y, grid.z, grid.block, out.get());
    EXPECT_EQ(out.values(), expected);
  }
}

TEST(Primitives, AnEmptyGridIsNoWork) {
  DeviceBuffer<int64_t> out(4);
  run_grid_places(0, 1, 1, 4, out.get());
  run_grid_places(1, 0, 1, 4, out.get());
  run_grid_places(1, 1, 0, 4, out.get());
  EXPECT_EQ(out.values(), std::vector<int64_t>(4, -1));
}

TEST(Primitives, DynamicSharedMemoryIsTheBlocksOwn) {
  constexpr int kBlocks = 4;
  for (int block : {1, 31, 256, 1024}) {
    const auto in = random_values<float>(static_cast<size_t>(kBlocks) * block, 1);
    std::vector<float> expected = in;
    for (int b = 0; b < kBlocks; ++b)
      std::reverse(expected.begin() + b * block, expected.begin() + (b + 1) * block);
    DeviceBuffer<float> values(in), out(in.size());
    run_reversal(values.get(), out.get(), kBlocks, block);
    EXPECT_EQ(out.values(), expected);
  }
}

TEST(Primitives, SyncwarpOrdersSharedMemory) {
  constexpr int kThreads = 64, kRounds = 5;
  std::vector<int> in(kThreads), expected(kThreads);
  std::iota(in.begin(), in.end(), 1);
  for (int i = 0; i < kThreads; ++i) expected[i] = (in[i] + in[i ^ 1]) << (kRounds - 1);
  DeviceBuffer<int> values(in), out(kThreads);
  run_warp_exchange(values.get(), out.get(), kThreads, kRounds);
  EXPECT_EQ(out.values(), expected);
}

TEST(Primitives, ThousandsOfBlocks) {
  constexpr unsigned kBlocks = 4000;
  constexpr int kThreads = 33;
  std::vector<int64_t> expected(size_t{kBlocks} * kThreads);
  std::iota(expected.begin(), expected.end(), 0);
  DeviceBuffer<int64_t> out(expected.size());
  run_grid_places(kBlocks, 1, 1, kThreads, out.get());
  EXPECT_EQ(out.values(), expected);
}

TEST(Primitives, TensorCoresMultiplyMatrices) {
  const auto a = random_values<Bf16>(16 * 16, 1), b = random_values<Bf16>(16 * 8, 2);
  const auto c = random_values<float>(16 * 8, 3);
  DeviceBuffer<Bf16> left(a), right(b);
  DeviceBuffer<float> sums(c);
  run_matrix_product(left.get(), right.get(), sums.get());
  const auto got = sums.values();
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      double expected = c[8 * row + column], terms = std::abs(expected);
      for (int k = 0; k < 16; ++k) {
        const double term = double(to_float(a[16 * row + k])) * to_float(b[8 * k + column]);
        expected += term;
        terms += std::abs(term);
      }
      EXPECT_NEAR(got[8 * row + column], expected, 0x1p-18 * terms) << row << ", " << column;
    }
}

}  // namespace
}  // namespace caprl::kernels
