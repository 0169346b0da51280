// The sampler against its definition: rows are sorted as a whole, weights, noise and sums are in
// double precision, and every kept token's score is computed.
#include "kernels/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "kernels/device_buffer.h"
#include "kernels/numbers.h"

namespace caprl::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Philox4x32-10, word by word.
std::array<uint32_t, 4> philox(uint64_t key, uint64_t high, uint64_t low) {
  const auto half = [](uint64_t x, int i) { return static_cast<uint32_t>(x >> (32 * i)); };
  std::array<uint32_t, 4> c{half(low, 0), half(low, 1), half(high, 0), half(high, 1)};
  uint32_t k0 = half(key, 0), k1 = half(key, 1);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
    c = {half(b, 1) ^ c[1] ^ k0, half(b, 0), half(a, 1) ^ c[3] ^ k1, half(a, 0)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

double noise(uint64_t key, uint64_t position, size_t id) {
  const uint32_t word = philox(key, position, id / 4)[id % 4];
  return -std::log(-std::log1p(-((word >> 1) + 0.5) * 0x1p-31));
}

struct Batch {
  std::vector<std::vector<float>> logits;  // of equal sizes
  std::vector<uint64_t> keys, positions;
  std::vector<size_t> banned;
  SamplerTerms terms;
  size_t padding = 0, offset = 0;  // of rows; of the first row from 16 bytes

  size_t vocab() const { return logits.empty() ? 0 : logits[0].size(); }
  void add(std::vector<float> row, uint64_t key, uint64_t position = 0) {
    logits.push_back(std::move(row));
    keys.push_back(key * 0x9e3779b97f4a7c15ull + 1);
    positions.push_back(position);
  }
};

struct Drawn {
  std::vector<int64_t> ids;
  std::vector<float> logprobs;
};

Drawn draw(const Batch& batch) {
  const size_t vocab = batch.vocab(), num_rows = batch.logits.size();
  std::vector<float> logits;
  for (const auto& row : batch.logits) {
    logits.insert(logits.end(), row.begin(), row.end());
    logits.insert(logits.end(), batch.padding, kNan);
  }
  std::vector<uint32_t> mask((vocab + 31) / 32);
  for (const size_t id : batch.banned) mask[id / 32] |= 1u << (id % 32);
  DeviceBuffer<float> logits_in(logits, batch.offset);
  DeviceBuffer<uint32_t> banned(mask);
  DeviceBuffer<uint64_t> keys(batch.keys), positions(batch.positions);
  DeviceBuffer<int64_t> ids(num_rows);
  DeviceBuffer<float> logprobs(num_rows);
  const bool greedy = batch.terms.temperature == 0;
  sample_rows({.logits = logits_in.get(),
               .num_rows = static_cast<int64_t>(num_rows),
               .vocab = static_cast<int64_t>(vocab),
               .stride = static_cast<int64_t>(vocab + batch.padding),
               .banned = batch.banned.empty() ? nullptr : banned.get(),
               .keys = greedy ? nullptr : keys.get(),
               .positions = greedy ? nullptr : positions.get(),
               .ids = ids.get(),
               .logprobs = logprobs.get()},
              batch.terms, nullptr);
  return {ids.values(), logprobs.values()};
}

/// One row by definition.
struct Reference {
  std::vector<float> x;
  double log_sum = 0;
  std::vector<size_t> ranked;   // tokens that can be sampled, best first
  std::vector<double> score;    // of ranked
  std::vector<double> running;  // weight of the first i of them
  size_t after_top_k = 0;

  Reference(const Batch& batch, size_t row) : x(batch.logits[row]) {
    const SamplerTerms& t = batch.terms;
    if (t.temperature != 0)
      for (float& v : x) v /= static_cast<float>(t.temperature);
    const double highest = *std::max_element(x.begin(), x.end());
    for (const float v : x) log_sum += std::exp(v - highest);
    log_sum = highest + std::log(log_sum);

    const std::set<size_t> banned(batch.banned.begin(), batch.banned.end());
    for (size_t id = 0; id < x.size(); ++id)
      if (!banned.count(id) && x[id] > -kInfinity) ranked.push_back(id);
    std::stable_sort(ranked.begin(), ranked.end(), [&](size_t a, size_t b) { return x[a] > x[b]; });
    running.push_back(0);
    for (const size_t id : ranked) {
      running.push_back(running.back() + std::exp(double{x[id]} - x[ranked[0]]));
      score.push_back(x[id] + noise(batch.keys[row], batch.positions[row], id));
    }
    after_top_k = t.top_k > 0 ? std::min<size_t>(t.top_k, ranked.size()) : ranked.size();
    if (t.temperature == 0) after_top_k = 1;
  }

  size_t kept(double top_p) const {
    if (top_p >= 1) return after_top_k;
    size_t count = 1;
    while (count < after_top_k && running[count] < top_p * running[after_top_k]) ++count;
    return count;
  }
  /// Best among the first `count`.
  size_t winner(size_t count) const {
    return static_cast<size_t>(std::max_element(score.begin(), score.begin() + count) -
                               score.begin());
  }
  double slack(size_t i) const { return 1e-5 + 2.4e-7 * std::abs(x[ranked[i]]); }
};

/// The row's token must be kept and beat all that are kept for sure. Weights may be rounded as the
/// interface says.
void expect_right(const Batch& batch, const Drawn& drawn, size_t row) {
  const Reference reference(batch, row);
  const double p = batch.terms.top_p, p_slack = p < 1 ? 3e-6 + 0x1p-40 * batch.vocab() : 0;
  const size_t least = reference.kept(p - p_slack), most = reference.kept(p + p_slack);
  const auto id = static_cast<size_t>(drawn.ids[row]);
  const auto& ranked = reference.ranked;
  const auto at = static_cast<size_t>(std::find(ranked.begin(), ranked.end(), id) - ranked.begin());
  ASSERT_LT(at, most) << "token " << drawn.ids[row] << " is not kept";
  if (batch.terms.temperature != 0) {
    const size_t best = reference.winner(least);
    ASSERT_GE(reference.score[at], reference.score[best] - reference.slack(best))
        << "token " << id << " instead of " << ranked[best];
  }
  const double logprob = reference.x[id] - reference.log_sum;
  ASSERT_NEAR(drawn.logprobs[row], logprob,
              1e-6 + 2e-7 * (std::abs(logprob) + std::abs(reference.log_sum)));
}

void expect_right(const Batch& batch) {
  const Drawn drawn = draw(batch);
  for (size_t row = 0; row < batch.logits.size(); ++row) {
    SCOPED_TRACE(testing::Message() << "row " << row << ", V " << batch.vocab() << ", temperature "
                                    << batch.terms.temperature << ", top_k " << batch.terms.top_k
                                    << ", top_p " << batch.terms.top_p);
    expect_right(batch, drawn, row);
  }
}

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

TEST(Sampler, CutsExactlyWhereTheyAre) {
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

TEST(Sampler, CutsAmongEqualTokensGoById) {
  for (const size_t vocab : {50, 3000}) {
    Batch batch;
    batch.banned = {0, 7};
    batch.add(std::vector<float>(vocab, -0.0f), 4);
    for (size_t id = 0; id < vocab; id += 2) batch.logits[0][id] = 0.0f;  // equal to −0
    EXPECT_GT(expect_cuts(batch, 0.7), 2u);
  }
}

TEST(Sampler, CutsAtTheEdgesOfBins) {
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

TEST(Sampler, CutsInCrowdedBins) {
  const auto append = [](std::vector<float>& logits, size_t count, auto value) {
    for (size_t i = 0; i < count; ++i) logits.push_back(value(static_cast<float>(i)));
  };
  std::vector<float> below_one{2}, below_many, beside_crowd{0};
  append(below_one, 3000, [](float i) { return i * 1e-6f; });
  append(below_many, 1000, [](float i) { return 0.5f + i * 1e-3f; });
  append(below_many, 3000, [](float i) { return i * 1e-6f; });
  append(beside_crowd, 3000, [](float) { return -1.0f; });  // first of its bin
  append(beside_crowd, 500, [](float) { return std::nextafter(-1.0f, 0.0f); });
  append(beside_crowd, 1500, [](float) { return -0.985f; });
  size_t num_checked = 0;
  for (const auto& logits : {below_one, below_many, beside_crowd})
    for (unsigned seed = 0; seed < 2; ++seed) {
      Batch batch;
      batch.add(logits, seed);
      num_checked += expect_cuts(batch, 0.9);
    }
  EXPECT_GT(num_checked, 25u);
}

TEST(Sampler, CutsAmongManyLightTokens) {
  size_t num_checked = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    Batch batch;
    batch.add(random_values<float>(2000, seed, 0.3, -9), seed);
    batch.logits[0][999] = 0;  // eight times as heavy as the rest together
    num_checked += expect_cuts(batch, 1);
  }
  EXPECT_GT(num_checked, 2u);
}

TEST(Sampler, CutsFarBelowTheHighestAndBesideOutliers) {
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
  constexpr size_t kDraws = 1000;
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
