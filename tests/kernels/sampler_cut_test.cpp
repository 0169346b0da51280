// What top_k and top_p keep, to the token.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/sampler_reference.h"

namespace caprl::kernels {
namespace {

/// Where the cut lies shows in who wins: as the list of kept tokens grows, a token that beats all
/// before it wins as soon as it is kept, and not before.
/// Returns how many cuts could be seen so.
size_t expect_cuts(Batch batch, double top_p_total) {
  const Reference all(batch, 0);
  size_t last = 0, num_checked = 0;
  for (size_t i = 1; i < all.ranked.size(); ++i) {
    if (all.score[i] <= all.score[last] + 2 * all.slack(i)) continue;
    for (const size_t kept : {i, i + 1}) {
      const auto expected = static_cast<int64_t>(all.ranked[kept == i ? last : i]);
      SCOPED_TRACE(testing::Message() << "the first " << kept << " of " << all.ranked.size());
      batch.terms.top_k = static_cast<int64_t>(kept);
      batch.terms.top_p = 1;
      EXPECT_EQ(draw(batch).ids[0], expected);
      // Half a weight away from either neighbour.
      const size_t of = static_cast<size_t>(top_p_total * static_cast<double>(all.ranked.size()));
      if (kept > of) continue;
      batch.terms.top_k = static_cast<int64_t>(of);
      batch.terms.top_p = (all.running[kept - 1] + all.running[kept]) / 2 / all.running[of];
      EXPECT_EQ(draw(batch).ids[0], expected) << "top_p " << batch.terms.top_p;
    }
    last = i;
    ++num_checked;
  }
  return num_checked;
}

TEST(SamplerCut, IsExact) {
  size_t num_checked = 0;
  for (const size_t vocab : {6, 40, 333, 3001})
    for (unsigned seed = 0; seed < 2; ++seed)
      for (const double scale : {0.001, 1.0}) {
        Batch batch;
        batch.add(random_values<float>(vocab, 70 + seed, scale), seed);
        num_checked += expect_cuts(batch, seed ? 1 : 0.6);
      }
  EXPECT_GT(num_checked, 40u);
}

TEST(SamplerCut, AmongEqualTokensGoesById) {
  for (const size_t vocab : {50, 3000}) {
    Batch batch;
    batch.banned = {0, 7};
    batch.add(std::vector<float>(vocab, -0.0f), 4);
    for (size_t id = 0; id < vocab; id += 2) batch.logits[0][id] = 0.0f;  // equal to −0
    EXPECT_GT(expect_cuts(batch, 0.7), 2u);
  }
}

TEST(SamplerCut, AtTheEdgesOfBins) {
  Batch batch;
  std::vector<float> logits{0};
  for (int i = 0; i < 2600; ++i) {
    const float edge = -static_cast<float>(1 + i % 37) / 64;
    logits.push_back(i % 2 ? edge : std::nextafter(edge, i % 4 ? 0.0f : -1.0f));
  }
  for (unsigned seed = 0; seed < 2; ++seed) {
    batch.add(logits, seed);
    EXPECT_GT(expect_cuts(batch, 0.9), 2u);
    batch.logits.clear(), batch.keys.clear();
  }
}

TEST(SamplerCut, InCrowdedBins) {
  const auto append = [](std::vector<float>& logits, size_t count, auto value) {
    for (size_t i = 0; i < count; ++i) logits.push_back(value(static_cast<float>(i)));
  };
  std::vector<float> below_one{2}, below_many;
  append(below_one, 1300, [](float i) { return i * 1e-6f; });
  append(below_many, 2000, [](float i) { return 0.5f + i * 1e-3f; });
  append(below_many, 1300, [](float i) { return i * 1e-6f; });
  size_t num_checked = 0;
  for (const auto& logits : {below_one, below_many})
    for (unsigned seed = 0; seed < 2; ++seed) {
      Batch batch;
      batch.add(logits, seed);
      num_checked += expect_cuts(batch, 0.9);
    }
  EXPECT_GT(num_checked, 15u);
}

TEST(SamplerCut, AmongManyLightTokens) {
  size_t num_checked = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    Batch batch;
    batch.add(random_values<float>(2000, seed, 0.3, -9), seed);
    batch.logits[0][999] = 0;  // eight times as heavy as the rest together
    num_checked += expect_cuts(batch, 1);
  }
  EXPECT_GT(num_checked, 2u);
}

TEST(SamplerCut, FarBelowTheHighestAndBesideOutliers) {
  // Nearly all tokens are in one bin of the first histogram: the last, or the one after the first.
  for (const float outlier : {1000.0f, -1e30f, 3e38f}) {
    Batch batch;
    batch.terms.temperature = 2;
    batch.add(random_values<float>(2500, 8, 0.004), 2);
    batch.logits[0][1234] = outlier;
    for (const int64_t k : {1, 2, 3, 700, 2000}) {
      batch.terms.top_k = k;
      expect_right(batch);
    }
    // The rest is not lighter than the outlier is, so its cuts show.
    if (outlier > 0) continue;
    EXPECT_GT(expect_cuts(batch, 0.9), 2u);
  }
}

}  // namespace
}  // namespace caprl::kernels
