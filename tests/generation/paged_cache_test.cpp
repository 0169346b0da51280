// Copies of pages, made while passes go through the layers.
#include "generation/paged_cache.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <vector>

namespace caprl {
namespace {

constexpr int64_t kLayers = 3, kHeads = 2, kHeadDim = 8, kPages = 100;

PagedCache empty_cache() {
  ModelTraits traits;
  traits.num_layers = kLayers;
  traits.num_kv_heads = 1;
  traits.head_dim = kHeadDim;
  return {traits, kPages, at::TensorOptions(at::kFloat)};
}

/// A pass of the tokens from place `first` on, of a sequence in one page; other ones by `seed`.
std::vector<at::Tensor> pass(PagedCache& cache, int32_t page, int64_t first, int64_t count,
                             uint64_t seed) {
  const std::vector<int32_t> pages{page};
  const ops::PagedChunk chunk{pages, first, count};
  const ops::PagedBatch batch({&chunk, 1});
  cache.set_batch(&batch);
  at::manual_seed(seed);
  std::vector<at::Tensor> results;
  for (int64_t layer = 0; layer < kLayers; ++layer)
    results.push_back(cache.attend(layer, at::randn({count, kHeads, kHeadDim}),
                                   at::randn({count, 1, kHeadDim}), at::randn({count, 1, kHeadDim}),
                                   {}));
  cache.set_batch(nullptr);
  return results;
}

/// Whether `page` holds the same nine tokens as page 0 of a cache without copies.
void expect_first_sequence(PagedCache& cache, int32_t page) {
  PagedCache other = empty_cache();
  pass(other, 0, 0, 9, 1);
  const auto want = pass(other, 0, 9, 1, 2), got = pass(cache, page, 9, 1, 2);
  for (int64_t layer = 0; layer < kLayers; ++layer) EXPECT_TRUE(got[layer].equal(want[layer]));
}

TEST(PagedCache, CopiesComeOneAfterAnother) {
  const c10::InferenceMode guard;
  PagedCache cache = empty_cache();
  pass(cache, 0, 0, 9, 1);
  pass(cache, 1, 0, 9, 3);
  // Read after it was written, written twice, written after it was read; enough for two threads.
  std::vector<PageCopy> copies{{0, 2}, {2, 3}, {1, 4}, {0, 4}, {1, 0}};
  for (int32_t page = 4; page + 1 < kPages; ++page) copies.push_back({page, page + 1});
  cache.copy(copies);
  expect_first_sequence(cache, kPages - 1);
  expect_first_sequence(cache, 3);
  expect_first_sequence(cache, 4);
  expect_first_sequence(cache, 2);
}

TEST(PagedCache, CopiesDoNotNeedAPassBetweenThem) {
  const c10::InferenceMode guard;
  PagedCache cache = empty_cache();
  pass(cache, 0, 0, 9, 1);
  cache.copy(std::vector<PageCopy>{{0, 5}});
  cache.copy({});
  cache.copy(std::vector<PageCopy>{{5, 2}});
  expect_first_sequence(cache, 2);
  expect_first_sequence(cache, 5);
}

}  // namespace
}  // namespace caprl
