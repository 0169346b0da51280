#include "caprl/core/philox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace caprl {
namespace {

using Words = std::array<uint32_t, 4>;

// kat_vectors of Random123 1.14 (D. E. Shaw Research): "philox4x32 10".
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32_10({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// The stream is part of what a resumed run relies on: these words must never change.
TEST(CounterRng, StreamIsFixed) {
  const CounterRng rng(42, RandomPurpose::kTokenSampling, {1, 2, 3});
  EXPECT_EQ(rng.block(4, 5), rng.block(4, 5));
  EXPECT_EQ(rng.block(4, 5), CounterRng(42, RandomPurpose::kTokenSampling, {1, 2, 3}).block(4, 5));
  EXPECT_EQ(rng.block(4, 5), (Words{0x304e52a7, 0x48eca408, 0x6556e5a9, 0x0600daf2}));
}

TEST(CounterRng, EveryPartOfTheAddressMatters) {
  std::set<Words> seen;
  size_t num_streams = 0;
  for (uint64_t purpose = 1; purpose <= 8; ++purpose)
    for (const uint64_t seed : {0, 1, 2})
      for (const std::initializer_list<uint64_t> ids : {std::initializer_list<uint64_t>{},
                                                        {0},
                                                        {1},
                                                        {0, 0},
                                                        {0, 1},
                                                        {1, 0},
                                                        {1, 1},
                                                        {0, 0, 0}}) {
        const CounterRng rng(seed, static_cast<RandomPurpose>(purpose), ids);
        for (uint64_t high = 0; high < 4; ++high)
          for (uint64_t low = 0; low < 4; ++low) {
            seen.insert(rng.block(high, low));
            ++num_streams;
          }
      }
  EXPECT_EQ(seen.size(), num_streams);
}

TEST(CounterRng, HighAndLowBitsOfTheCounterMatter) {
  const CounterRng rng(1, RandomPurpose::kDataOrder, {});
  std::set<Words> seen = {rng.block(0, 0)};
  for (int bit = 0; bit < 64; ++bit) {
    seen.insert(rng.block(uint64_t{1} << bit, 0));
    seen.insert(rng.block(0, uint64_t{1} << bit));
  }
  EXPECT_EQ(seen.size(), 129u);
}

/// Pearson's statistic of equally likely cells.
double chi_squared(const std::vector<int64_t>& counts) {
  double total = 0, sum = 0;
  for (const int64_t count : counts) total += static_cast<double>(count);
  const double expected = total / static_cast<double>(counts.size());
  for (const int64_t count : counts) sum += std::pow(static_cast<double>(count) - expected, 2);
  return sum / expected;
}

// Bounds are 5 standard deviations of chi-squared with k − 1 degrees of freedom: k − 1 + 5 √(2 (k −
// 1)).
TEST(CounterRng, UniformIsUniformAlongTheCounterAndAlongIds) {
  std::vector<int64_t> along_counter(100), along_ids(100);
  for (uint64_t i = 0; i < 100'000; ++i) {
    const double a = CounterRng(7, RandomPurpose::kTokenSampling, {3}).uniform(0, i);
    const double b = CounterRng(7, RandomPurpose::kTokenSampling, {i}).uniform(0, 0);
    ASSERT_GT(a, 0.0);
    ASSERT_LT(a, 1.0);
    ++along_counter[static_cast<size_t>(a * 100)];
    ++along_ids[static_cast<size_t>(b * 100)];
  }
  EXPECT_LT(chi_squared(along_counter), 99 + 5 * std::sqrt(2.0 * 99));
  EXPECT_LT(chi_squared(along_ids), 99 + 5 * std::sqrt(2.0 * 99));
}

TEST(CounterRng, BelowIsUniformAndInRange) {
  const CounterRng rng(3, RandomPurpose::kQuestionDraw, {1});
  std::vector<int64_t> counts(7);
  for (uint64_t i = 0; i < 70'000; ++i) {
    const int64_t value = rng.below(7, 0, i);
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 7);
    ++counts[static_cast<size_t>(value)];
  }
  EXPECT_LT(chi_squared(counts), 6 + 5 * std::sqrt(12.0));
  EXPECT_EQ(rng.below(1, 5), 0);
}

TEST(CounterRng, NormalHasItsMoments) {
  const CounterRng rng(11, RandomPurpose::kInitialization, {9});
  constexpr int kCount = 200'000;
  double sum = 0, squares = 0, within = 0;
  for (uint64_t i = 0; i < kCount; ++i) {
    const double value = rng.normal(0, i);
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
    within += std::abs(value) < 1;
  }
  EXPECT_NEAR(sum / kCount, 0, 5 / std::sqrt(kCount));
  EXPECT_NEAR(squares / kCount, 1, 5 * std::sqrt(2.0 / kCount));
  EXPECT_NEAR(within / kCount, 0.6826895, 5 * std::sqrt(0.6827 * 0.3173 / kCount));
}

TEST(CounterRng, PermutationsAreEquallyLikely) {
  std::map<std::vector<int64_t>, int64_t> counts;
  for (uint64_t i = 0; i < 24'000; ++i)
    ++counts[CounterRng(5, RandomPurpose::kOptionOrder, {i}).permutation(4, 0)];
  ASSERT_EQ(counts.size(), 24u);
  std::vector<int64_t> values;
  for (const auto& [order, count] : counts) {
    EXPECT_THAT(order, testing::UnorderedElementsAre(0, 1, 2, 3));
    values.push_back(count);
  }
  EXPECT_LT(chi_squared(values), 23 + 5 * std::sqrt(46.0));
}

TEST(CounterRng, PermutationOfNothingAndOfOne) {
  const CounterRng rng(5, RandomPurpose::kDataOrder, {});
  EXPECT_TRUE(rng.permutation(0, 0).empty());
  EXPECT_EQ(rng.permutation(1, 0), std::vector<int64_t>{0});
}

}  // namespace
}  // namespace caprl
