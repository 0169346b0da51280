#include "generation/sampler.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "caprl/core/error.h"
#include "kernels/math/fast_math.h"

namespace caprl {
namespace {

using kernels::gumbel;
using Logits = std::vector<float>;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Sampler make_sampler(const SamplingParams& params, int64_t vocab_size) {
  return {params, at::zeros({vocab_size, 1})};
}

SampleRow row_of(uint64_t sample, uint64_t position = 0) {
  return {CounterRng(7, RandomPurpose::kTokenSampling, {1, 2, sample}), position, 2, sample, {}};
}

Logits random_logits(int64_t size, double scale, uint64_t seed) {
  const CounterRng rng(seed, RandomPurpose::kInitialization, {});
  Logits logits;
  for (int64_t i = 0; i < size; ++i)
    logits.push_back(static_cast<float>(scale * rng.normal(static_cast<uint64_t>(i))));
  return logits;
}

std::vector<double> softmax(const Logits& logits, double temperature) {
  std::vector<double> p;
  double total = 0;
  for (const float x : logits) total += p.emplace_back(std::exp(x / temperature));
  for (double& x : p) x /= total;
  return p;
}

/// Pearson's statistic of n draws against the exact probabilities; tokens of probability 0 must not
/// occur.
double chi_square(const SamplingParams& params, const Logits& logits, const std::vector<double>& p,
                  int64_t n) {
  const Sampler sampler = make_sampler(params, static_cast<int64_t>(logits.size()));
  std::vector<int64_t> counts(logits.size());
  for (int64_t i = 0; i < n; ++i) {
    Logits copy = logits;
    // Samples and positions are independent alike.
    ++counts[sampler.sample_row(copy, row_of(static_cast<uint64_t>(i) / 16, i % 16)).id];
  }
  double sum = 0;
  for (size_t v = 0; v < p.size(); ++v) {
    const double expected = p[v] * static_cast<double>(n);
    if (p[v] == 0) {
      EXPECT_EQ(counts[v], 0) << v;
    } else {
      sum += std::pow(static_cast<double>(counts[v]) - expected, 2) / expected;
    }
  }
  return sum;
}

const Logits kLogits{1.0f, -0.5f, 2.0f, 0.3f, -1.5f, 1.7f, 0.0f};

// Thresholds: chi-square's 99.9 % quantiles, 22.46 for 6 degrees of freedom, 16.27 for 3, 13.82
// for 2.
TEST(Sampler, FrequenciesAreTheSoftmax) {
  for (const double temperature : {0.5, 1.0, 2.0}) {
    SamplingParams params;
    params.temperature = temperature;
    EXPECT_LT(chi_square(params, kLogits, softmax(kLogits, temperature), 40'000), 22.46)
        << temperature;
  }
}

TEST(Sampler, TopKKeepsTheBestAndTheirProportions) {
  SamplingParams params;
  params.top_k = 4;  // ids 2, 5, 0, 3
  Logits kept(kLogits.size(), -kInfinity);
  for (const int64_t id : {2, 5, 0, 3}) kept[id] = kLogits[id];
  EXPECT_LT(chi_square(params, kLogits, softmax(kept, 1), 40'000), 16.27);
}

TEST(Sampler, TopPKeepsTheShortestListThatReachesIt) {
  const auto p = softmax(kLogits, 1);
  const double two = p[2] + p[5], three = two + p[0];
  struct Case {
    double top_p;
    std::set<int64_t> ids;
    double threshold;
  };
  for (const Case& c : {Case{three - 1e-6, {2, 5, 0}, 13.82}, Case{two + 1e-6, {2, 5, 0}, 13.82},
                        Case{1e-9, {2}, 1e-9}}) {
    SamplingParams params;
    params.top_p = c.top_p;
    Logits kept(kLogits.size(), -kInfinity);
    for (const int64_t id : c.ids) kept[id] = kLogits[id];
    EXPECT_LT(chi_square(params, kLogits, softmax(kept, 1), 20'000), c.threshold) << c.top_p;
  }
}

TEST(Sampler, TopPIsTakenOfWhatTopKAndBansLeave) {
  SamplingParams params;
  params.banned_ids = {2};
  params.top_k = 3;  // ids 5, 0, 3
  const double e5 = std::exp(1.7), e0 = std::exp(1.0), e3 = std::exp(0.3);
  params.top_p = (e5 + e0) / (e5 + e0 + e3) - 1e-6;
  Logits kept(kLogits.size(), -kInfinity);
  kept[5] = kLogits[5];
  kept[0] = kLogits[0];
  EXPECT_LT(chi_square(params, kLogits, softmax(kept, 1), 20'000), 10.83);
}

TEST(Sampler, BannedIdsNeverComeAndDoNotChangeLogprobs) {
  SamplingParams params;
  params.banned_ids = {2, 5, 2};
  const Sampler sampler = make_sampler(params, 7);
  const auto p = softmax(kLogits, 1);
  for (uint64_t i = 0; i < 2000; ++i) {
    Logits copy = kLogits;
    const SampledToken token = sampler.sample_row(copy, row_of(i));
    EXPECT_TRUE(token.id != 2 && token.id != 5);
    EXPECT_NEAR(token.logprob, std::log(p[token.id]), 1e-6);
  }
}

TEST(Sampler, GreedyTakesTheLowestOfTheBest) {
  SamplingParams params;
  params.temperature = 0;
  Logits logits{0, 3, 1, 3, -2};
  const auto p = softmax(logits, 1);
  const SampledToken token = make_sampler(params, 5).sample_row(logits, row_of(0));
  EXPECT_EQ(token.id, 1);
  EXPECT_NEAR(token.logprob, std::log(p[1]), 1e-6);
}

TEST(Sampler, LogprobIsThatOfTheTemperature) {
  SamplingParams params;
  params.temperature = 0.6;
  const Logits logits = random_logits(5000, 4, 11);
  const auto p = softmax(logits, 0.6);
  const Sampler sampler = make_sampler(params, 5000);
  for (uint64_t i = 0; i < 20; ++i) {
    Logits copy = logits;
    const SampledToken token = sampler.sample_row(copy, row_of(i));
    EXPECT_NEAR(token.logprob, std::log(p[token.id]), 5e-6);
  }
}

/// The definition, token by token.
int64_t brute_force(const Logits& logits, float temperature, const SampleRow& row) {
  int64_t best = -1;
  float best_score = -kInfinity;
  for (size_t v = 0; v < logits.size(); ++v) {
    const float score = logits[v] / temperature + gumbel(row.rng.block(row.position, v / 4)[v % 4]);
    if (score > best_score) {
      best_score = score;
      best = static_cast<int64_t>(v);
    }
  }
  return best;
}

TEST(Sampler, SkippingHopelessTokensChangesNothing) {
  for (const double scale : {0.0, 1.0, 10.0, 60.0}) {
    for (const int64_t size : {3, 16, 1001}) {
      const Logits logits = random_logits(size, scale, 5);
      SamplingParams params;
      params.temperature = 0.5;
      const Sampler sampler = make_sampler(params, size);
      for (uint64_t i = 0; i < 200; ++i) {
        Logits copy = logits;
        EXPECT_EQ(sampler.sample_row(copy, row_of(i)).id, brute_force(logits, 0.5f, row_of(i)));
      }
    }
  }
}

TEST(Sampler, FiltersUseTheSameNoise) {
  const Logits logits = random_logits(40, 1, 9);
  SamplingParams params;
  params.top_k = 40;
  const Sampler sampler = make_sampler(params, 40);
  for (uint64_t i = 0; i < 200; ++i) {
    Logits copy = logits;
    EXPECT_EQ(sampler.sample_row(copy, row_of(i)).id, brute_force(logits, 1, row_of(i)));
  }
}

TEST(Sampler, RowsDoNotDependOnThreads) {
  const at::Tensor head = at::eye(300);
  const at::Tensor hidden = at::tensor(random_logits(33 * 300, 3, 4)).view({33, 300});
  std::vector<SampleRow> rows;
  for (uint64_t i = 0; i < 33; ++i) rows.push_back(row_of(i, i));
  const Sampler sampler(SamplingParams{}, head);
  const int before = at::get_num_threads();
  std::vector<std::vector<SampledToken>> results;
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    results.push_back(sampler.sample(hidden, rows));
  }
  at::set_num_threads(before);
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(results[0][i].id, results[1][i].id);
    EXPECT_EQ(results[0][i].logprob, results[1][i].logprob);
  }
}

TEST(Sampler, FaultsAreErrors) {
  const auto error_of = [](const SamplingParams& params, Logits logits) -> std::string {
    try {
      make_sampler(params, static_cast<int64_t>(logits.size())).sample_row(logits, row_of(4, 9));
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  };
  const auto with = [](auto change) {
    SamplingParams params;
    change(params);
    return params;
  };
  using testing::HasSubstr;
  EXPECT_EQ(error_of({}, kLogits), "none");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {nan, kInfinity})
    EXPECT_THAT(error_of({}, {0, bad, 1}),
                HasSubstr("logits are not finite: prompt 2, sample 4, token 9"));
  EXPECT_THAT(error_of({}, Logits(3, -kInfinity)), HasSubstr("not finite"));
  EXPECT_THAT(error_of(with([](auto& p) {
                         p.banned_ids = {0, 1, 2};
                       }),
                       {0, 0, 0}),
              HasSubstr("all 3 tokens of the vocabulary are banned"));
  EXPECT_THAT(error_of(with([](auto& p) { p.banned_ids = {3}; }), {0, 0, 0}),
              HasSubstr("expected banned ids in [0, 3), got 3 to 3"));
  EXPECT_THAT(error_of(with([](auto& p) { p.temperature = -1; }), {0, 0}),
              HasSubstr("expected temperature"));
  EXPECT_THAT(error_of(with([](auto& p) { p.top_p = 0; }), {0, 0}), HasSubstr("top_p in (0, 1]"));
  EXPECT_THAT(error_of(with([](auto& p) { p.top_k = -1; }), {0, 0}), HasSubstr("top_k"));
}

}  // namespace
}  // namespace caprl
