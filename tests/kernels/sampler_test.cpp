#include "kernels/sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "kernels/sampler_reference.h"

namespace caprl::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Sampler, DrawsByTheDefinitionWhateverTheParameters) {
  std::mt19937 random(1);
  const auto one_of = [&](auto... values) {
    const std::array choices{values...};
    return choices[random() % choices.size()];
  };
  for (unsigned i = 0; i < 300; ++i) {
    Batch batch;
    const auto vocab = static_cast<size_t>(
        one_of(1, 2, 3, 4, 5, 7, 31, 32, 33, 64, 100, 127, 511, 512, 513, 1000, 1037, 2051));
    batch.terms.temperature = one_of(0.0, 0.07, 0.6, 1.0, 1.0, 2.5, 1e4, 1e37);
    batch.terms.top_k = one_of(0, 0, 1, 2, 5, 50, 400, 1 << 20);
    batch.terms.top_p = one_of(1.0, 1.0, 1e-9, 0.3, 0.9, 0.999, 1 - 1e-12);
    batch.padding = one_of(0u, 0u, 1u, 4u);
    batch.offset = one_of(0u, 0u, 1u, 2u, 3u);
    const double scale = one_of(0.0, 0.01, 1.0, 4.0, 60.0), step = one_of(0.0, 0.5);
    for (size_t id = 1; id < vocab; ++id)
      if (random() % 8 == 0) batch.banned.push_back(id);
    for (unsigned row = 0; row < 3; ++row) {
      auto logits = random_values<float>(vocab, 3 * i + row, scale, one_of(0.0, -20.0));
      for (float& logit : logits) {
        if (step > 0) logit = static_cast<float>(std::round(logit / step) * step);  // ties
        if (random() % 16 == 0 && vocab > 2) logit = one_of(-kInfinity, -1e30f, -0.0f);
      }
      logits[0] = 0;  // something to sample
      batch.add(logits, random(), uint64_t{random()} << one_of(0, 20, 32));
    }
    expect_right(batch);
    if (HasFatalFailure()) return;
  }
}

TEST(Sampler, DrawsByTheDefinitionFromLongRows) {
  for (const double scale : {0.0, 3.0})
    for (const SamplerTerms& terms :
         {SamplerTerms{.temperature = 0}, SamplerTerms{}, SamplerTerms{.temperature = 0.7},
          SamplerTerms{.top_k = 50}, SamplerTerms{.top_k = 6000, .top_p = 0.5},
          SamplerTerms{.top_p = 0.8}, SamplerTerms{.top_p = 0.9999}}) {
      Batch batch;
      batch.terms = terms;
      batch.banned = {3, 16'383, 20'002};
      batch.add(random_values<float>(20'003, 5, scale), 9, 1);
      expect_right(batch);
    }
}

TEST(Sampler, OneTokenIsTheBest) {
  for (const SamplerTerms& one :
       {SamplerTerms{.top_k = 1}, SamplerTerms{.top_p = 1e-12}, SamplerTerms{.top_p = 1e-300}}) {
    Batch batch;
    batch.terms = one;
    for (unsigned i = 0; i < 20; ++i) batch.add({1, 3, 3, -2, 3, 0.5f}, i);
    EXPECT_EQ(draw(batch).ids, std::vector<int64_t>(20, 1));
    batch.banned = {1};
    EXPECT_EQ(draw(batch).ids, std::vector<int64_t>(20, 2));
  }
}

TEST(Sampler, TopPIsNoneOnlyAtOne) {
  Batch batch;
  batch.terms.top_p = 0.97;
  for (unsigned i = 0; i < 200; ++i) batch.add({0, 3.5f}, i);  // 0.029 and 0.971
  EXPECT_EQ(draw(batch).ids, std::vector<int64_t>(200, 1));
}

TEST(Sampler, EqualScoresGoToTheLowerId) {
  for (const SamplerTerms& terms :
       {SamplerTerms{}, SamplerTerms{.top_k = 500}, SamplerTerms{.top_k = 1300}}) {
    Batch batch;
    batch.terms = terms;
    batch.banned = {0, 1, 5};
    for (unsigned i = 0; i < 5; ++i)
      batch.add(std::vector<float>(1500, 1e9f), i);  // swallows the noise
    for (auto& row : batch.logits) row[2] = 1;
    EXPECT_EQ(draw(batch).ids, std::vector<int64_t>(5, 3));
  }
}

TEST(Sampler, GreedyTakesTheLowestOfTheBest) {
  for (const size_t vocab : {5, 700, 20'000})
    for (const size_t first : {size_t{0}, size_t{3}, vocab / 2, vocab - 2}) {
      Batch batch;
      batch.terms = {.temperature = 0, .top_k = 7, .top_p = 0.5};  // have no meaning here
      batch.add(std::vector<float>(vocab, -1.0f), 0);
      batch.logits[0][first] = batch.logits[0][vocab - 1] = 2;
      EXPECT_EQ(draw(batch).ids[0], static_cast<int64_t>(first));
      batch.banned = {first};
      EXPECT_EQ(draw(batch).ids[0], static_cast<int64_t>(vocab - 1));
      expect_right(batch);
    }
}

/// Pearson's statistic of draws from one row against what the filters leave of its softmax.
double chi_square(const SamplerTerms& terms, const std::vector<size_t>& banned,
                  const std::set<size_t>& kept) {
  const std::vector<float> logits{1.0f, -0.5f, 2.0f, 0.3f, -1.5f, 1.7f, 0.0f};
  constexpr size_t kDraws = 600;
  Batch batch;
  batch.terms = terms;
  batch.banned = banned;
  for (size_t i = 0; i < kDraws; ++i) batch.add(logits, i / 16, i % 16);  // independent alike
  std::vector<double> counts(logits.size()), p(logits.size());
  for (const int64_t id : draw(batch).ids) ++counts[static_cast<size_t>(id)];
  double total = 0, sum = 0;
  for (const size_t id : kept) total += p[id] = std::exp(logits[id] / terms.temperature);
  for (size_t id = 0; id < p.size(); ++id) {
    const double expected = p[id] / total * kDraws;
    if (expected == 0)
      EXPECT_EQ(counts[id], 0) << id;
    else
      sum += (counts[id] - expected) * (counts[id] - expected) / expected;
  }
  return sum;
}

// Thresholds: chi-square's 99.9 % quantiles, 22.46 for 6 degrees of freedom, 16.27 for 3, 13.82 for
// 2, 10.83 for 1.
TEST(Sampler, FrequenciesAreTheSoftmaxOfWhatIsKept) {
  const std::set<size_t> all{0, 1, 2, 3, 4, 5, 6};
  EXPECT_LT(chi_square({.temperature = 0.5}, {}, all), 22.46);
  EXPECT_LT(chi_square({}, {}, all), 22.46);
  EXPECT_LT(chi_square({.temperature = 2}, {}, all), 22.46);
  EXPECT_LT(chi_square({.top_k = 4}, {}, {2, 5, 0, 3}), 16.27);
  // e² + e^1.7 + e + e^0.3 + … = 18.76: the best two weigh 0.686 of it, three 0.830.
  EXPECT_LT(chi_square({.top_p = 0.7}, {}, {2, 5, 0}), 13.82);
  // Without token 2, the best of three weighs 0.574 of them, two 0.859.
  EXPECT_LT(chi_square({.top_k = 3, .top_p = 0.85}, {2}, {5, 0}), 10.83);
}

TEST(Sampler, RowsWithoutAnythingToSampleSaySo) {
  const float nan = kNan;
  for (const size_t vocab : {1, 4, 9, 600})
    for (const SamplerTerms& terms :
         {SamplerTerms{}, SamplerTerms{.temperature = 0}, SamplerTerms{.temperature = 1e-3},
          SamplerTerms{.top_k = 2}, SamplerTerms{.top_p = 0.5}}) {
      Batch batch;
      batch.terms = terms;
      batch.banned = {vocab - 1};
      const std::vector<float> good(vocab, 1.0f);
      batch.add(good, 1);
      for (const float bad : {nan, kInfinity, terms.temperature == 1e-3 ? 3e38f : nan})
        for (const size_t where : {size_t{0}, vocab / 2, vocab - 1}) {
          batch.add(good, 2);
          batch.logits.back()[where] = bad;
        }
      batch.add(std::vector<float>(vocab, -kInfinity), 3);
      batch.add(std::vector<float>(vocab, -kInfinity), 3);
      batch.logits.back()[vocab - 1] = 0;  // banned
      batch.add(good, 4);
      const Drawn drawn = draw(batch);
      for (size_t row = 0; row < drawn.ids.size(); ++row) {
        const bool sound = vocab > 1 && (row == 0 || row + 1 == drawn.ids.size());
        EXPECT_EQ(drawn.ids[row] >= 0, sound) << row;
        EXPECT_EQ(std::isnan(drawn.logprobs[row]), !sound) << row;
        EXPECT_GE(drawn.ids[row], -1) << row;
      }
    }
}

TEST(Sampler, RowsDoNotDependOnTheirBatch) {
  for (const SamplerTerms& terms : {SamplerTerms{}, SamplerTerms{.top_k = 30, .top_p = 0.7}}) {
    Batch batch;
    batch.terms = terms;
    for (unsigned i = 0; i < 5; ++i) batch.add(random_values<float>(600, i, 2), i, i);
    const Drawn together = draw(batch);
    for (unsigned i = 0; i < 5; ++i) {
      Batch alone;
      alone.terms = terms;
      alone.add(batch.logits[i], i, i);
      const Drawn one = draw(alone);
      EXPECT_EQ(one.ids[0], together.ids[i]);
      EXPECT_EQ(one.logprobs[0], together.logprobs[i]);
    }
  }
}

TEST(Sampler, NoRowsAreNoWork) {
  DeviceBuffer<float> logits(8);
  sample_rows({.logits = logits.get(), .num_rows = 0, .vocab = 8, .stride = 8}, {}, nullptr);
}

}  // namespace
}  // namespace caprl::kernels
