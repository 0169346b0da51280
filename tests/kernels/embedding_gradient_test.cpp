// Sums of gradient rows by id against fp64, with runs of all lengths at all places of the order.
#include "kernels/embedding_gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "kernels/device_buffer.h"
#include "kernels/numbers.h"

namespace caprl::kernels {
namespace {

constexpr int64_t kVocab = 40;

struct Options {
  size_t out_offset = 0, weight_offset = 0;
  int64_t skip_id = -1;
};

std::vector<int64_t> sorted_order(const std::vector<int64_t>& ids) {
  std::vector<int64_t> order(ids.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return ids[a] < ids[b]; });
  return order;
}

/// ids with the given numbers of occurrences, in an order without pattern.
std::vector<int64_t> ids_of_counts(const std::vector<int64_t>& counts) {
  std::vector<int64_t> ids;
  for (size_t id = 0; id < counts.size(); ++id)
    ids.insert(ids.end(), counts[id], static_cast<int64_t>(id));
  std::shuffle(ids.begin(), ids.end(), std::mt19937(3));
  return ids;
}

template <class T>
std::vector<float> run(const std::vector<T>& d_out, const std::vector<int64_t>& ids, int64_t width,
                       const std::vector<float>& weight, const Options& options) {
  DeviceBuffer<T> out(d_out, options.out_offset);
  DeviceBuffer<int64_t> id(ids), order(sorted_order(ids));
  DeviceBuffer<float> d_weight(weight, options.weight_offset);
  embedding_gradient(EmbeddingGradient<T>{.d_out = out.get(),
                                          .ids = id.get(),
                                          .order = order.get(),
                                          .num_tokens = static_cast<int64_t>(ids.size()),
                                          .width = width,
                                          .skip_id = options.skip_id,
                                          .d_weight = d_weight.get()},
                     nullptr);
  return d_weight.values();
}

template <class T>
void check(const std::vector<int64_t>& ids, int64_t width, const Options& options = {}) {
  SCOPED_TRACE(testing::Message() << ids.size() << " tokens, " << width << " columns, offsets "
                                  << options.out_offset << ", " << options.weight_offset
                                  << ", skip " << options.skip_id);
  const auto num_tokens = static_cast<int64_t>(ids.size());
  auto d_out = random_values<T>(num_tokens * width, 1);
  const auto weight = random_values<float>(kVocab * width, 2);
  std::vector<double> expected = to_double(weight), terms(expected.size());
  std::vector<int64_t> count(kVocab);
  for (size_t i = 0; i < terms.size(); ++i) terms[i] = std::abs(expected[i]);
  for (int64_t n = 0; n < num_tokens; ++n) {
    for (int64_t j = 0; j < width; ++j) {
      T& value = d_out[n * width + j];
      if (ids[n] == options.skip_id) {
        value = from_float<T>(std::nanf(""));
        continue;
      }
      expected[ids[n] * width + j] += static_cast<double>(to_float(value));
      terms[ids[n] * width + j] += std::abs(static_cast<double>(to_float(value)));
    }
    if (ids[n] != options.skip_id) ++count[ids[n]];
  }
  const std::vector<float> got = run(d_out, ids, width, weight, options);
  for (int64_t i = 0; i < kVocab * width; ++i) {
    const double bound = static_cast<double>(count[i / width]) * 0x1p-24 * terms[i];
    ASSERT_LE(std::abs(static_cast<double>(got[i]) - expected[i]), bound)
        << "id " << i / width << " of " << count[i / width] << " tokens, column " << i % width
        << ": expected " << expected[i] << ", got " << got[i];
  }
}

template <class T>
class EmbeddingGradientKernel : public ::testing::Test {};
TYPED_TEST_SUITE(EmbeddingGradientKernel, ElementTypes);

TYPED_TEST(EmbeddingGradientKernel, RunsOfAllLengths) {
  for (const int64_t length : {1, 2, 3, 5, 31, 32, 33, 64, 65, 255, 256, 257, 513})
    check<TypeParam>(std::vector<int64_t>(length, 7), 12);
  // The same runs begin and end at other places of a stretch of 32.
  for (const int64_t before : {1, 8, 31, 32, 33})
    for (const int64_t length : {1, 31, 32, 33, 257})
      check<TypeParam>(ids_of_counts({before, 0, length, 1, 1, 40, 2}), 4);
}

TYPED_TEST(EmbeddingGradientKernel, AnyWidth) {
  const auto ids = ids_of_counts({1, 5, 0, 40, 2, 1, 1, 70, 1});
  for (const int64_t width : {1, 3, 4, 31, 32, 124, 128, 132, 255, 256, 257, 260, 516})
    check<TypeParam>(ids, width);
}

TYPED_TEST(EmbeddingGradientKernel, AnyAlignment) {
  const auto ids = ids_of_counts({1, 5, 0, 40, 2, 1});
  for (const size_t offset : {1, 2, 4}) {
    for (const int64_t width : {130, 264}) {
      check<TypeParam>(ids, width, {.out_offset = offset});
      check<TypeParam>(ids, width, {.weight_offset = offset});
    }
  }
}

TYPED_TEST(EmbeddingGradientKernel, ManyIds) {
  std::mt19937 generator(5);
  std::geometric_distribution<int64_t> often(0.2);
  for (const size_t num_tokens : {17, 100, 1000}) {
    std::vector<int64_t> ids(num_tokens);
    for (int64_t& id : ids) id = std::min(often(generator), kVocab - 1);
    check<TypeParam>(ids, 36);
  }
}

TYPED_TEST(EmbeddingGradientKernel, PassesOverTheSkippedId) {
  // First, in the middle, last, absent; short and long.
  for (const int64_t skip : {0, 2, 4, 5, 39})
    for (const int64_t length : {1, 20, 100})
      check<TypeParam>(ids_of_counts({length, 3, length, 50, length}), 20, {.skip_id = skip});
}

TYPED_TEST(EmbeddingGradientKernel, RowsOfOtherIdsKeepTheirBits) {
  const auto ids = ids_of_counts({0, 3, 0, 90, 0, 2});
  const int64_t width = 300;
  std::vector<float> weight(kVocab * width, -0.0f);
  weight[4 * width] = std::nanf("");
  const auto got =
      run(random_values<TypeParam>(ids.size() * width, 1), ids, width, weight, {.skip_id = 5});
  for (int64_t id = 0; id < kVocab; ++id) {
    if (id == 1 || id == 3) continue;
    EXPECT_EQ(std::memcmp(&got[id * width], &weight[id * width], width * sizeof(float)), 0)
        << "id " << id;
  }
}

TYPED_TEST(EmbeddingGradientKernel, NanReachesItsElementOnly) {
  const auto ids = ids_of_counts({3, 90, 2});
  const int64_t width = 10;
  auto d_out = random_values<TypeParam>(ids.size() * width, 1);
  const int64_t token = std::find(ids.begin(), ids.end(), 1) - ids.begin();
  d_out[token * width + 6] = from_float<TypeParam>(std::nanf(""));
  const auto got = run(d_out, ids, width, std::vector<float>(kVocab * width), {});
  for (int64_t i = 0; i < kVocab * width; ++i) EXPECT_EQ(std::isnan(got[i]), i == width + 6) << i;
}

TYPED_TEST(EmbeddingGradientKernel, GivesTheSameBitsAgain) {
  const auto ids = ids_of_counts({1, 30, 400, 2, 100});
  const int64_t width = 40;
  const auto d_out = random_values<TypeParam>(ids.size() * width, 1);
  const auto weight = random_values<float>(kVocab * width, 2);
  const auto first = run(d_out, ids, width, weight, {});
  for (int repeat = 0; repeat < 3; ++repeat) EXPECT_EQ(run(d_out, ids, width, weight, {}), first);
}

TYPED_TEST(EmbeddingGradientKernel, NothingIsNoWork) {
  check<TypeParam>({}, 8);
  check<TypeParam>({1, 2}, 0);
}

}  // namespace
}  // namespace caprl::kernels
