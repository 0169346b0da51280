#include "tasks/eval/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "caprl/core/philox.h"

namespace caprl {
namespace {

TEST(Statistics, WilsonsInterval) {
  // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
  const Estimate many = wilson(81, 263, 0.95);
  EXPECT_NEAR(many.low, 0.2553, 5e-5);
  EXPECT_NEAR(many.high, 0.3662, 5e-5);
  const Estimate few = wilson(15, 148, 0.95);
  EXPECT_NEAR(few.low, 0.0624, 5e-5);
  EXPECT_NEAR(few.high, 0.1605, 5e-5);
  const Estimate none = wilson(0, 20, 0.95);
  EXPECT_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 0.1611, 5e-5);
  const Estimate one = wilson(1, 29, 0.95);
  EXPECT_NEAR(one.low, 0.0061, 5e-5);
  EXPECT_NEAR(one.high, 0.1718, 5e-5);
}

std::vector<double> draw_scores(int64_t count, uint64_t seed) {
  const CounterRng rng(seed, RandomPurpose::kDemoWorld, {1});
  std::vector<double> scores;
  for (int64_t i = 0; i < count; ++i)
    scores.push_back(0.25 * static_cast<double>(rng.below(5, static_cast<uint64_t>(i))));
  return scores;
}

TEST(Statistics, RatesGetWilsonsIntervalAndOtherScoresTheBootstraps) {
  const Bootstrap bootstrap({0.95, 1000, 1}, 0);
  const Estimate rate = bootstrap.estimate(std::vector<double>{1, 0, 1, 1, 0, 1, 1, 1, 1, 1});
  EXPECT_TRUE(rate.is_wilson);
  EXPECT_EQ(rate.low, wilson(8, 10, 0.95).low);
  EXPECT_FALSE(bootstrap.estimate(draw_scores(40, 1)).is_wilson);
}

TEST(Statistics, TheBootstrapIsCloseToTheNormalInterval) {
  const auto scores = draw_scores(2000, 2);
  const Estimate estimate = Bootstrap({0.95, 4000, 3}, 0).estimate(scores);
  const double mean = std::accumulate(scores.begin(), scores.end(), 0.0) / 2000;
  double variance = 0;
  for (const double score : scores) variance += (score - mean) * (score - mean) / 2000;
  const double half = 1.96 * std::sqrt(variance / 2000);
  EXPECT_DOUBLE_EQ(estimate.value, mean);
  EXPECT_NEAR(estimate.low, mean - half, 0.06 * half);
  EXPECT_NEAR(estimate.high, mean + half, 0.06 * half);
}

TEST(Statistics, TheIntervalCoversTheTruthAsOftenAsItSays) {
  int covered = 0;
  constexpr int kRuns = 400;
  for (int run = 0; run < kRuns; ++run) {
    const Estimate estimate =
        Bootstrap({0.9, 200, 5}, 0).estimate(draw_scores(60, 100 + static_cast<uint64_t>(run)));
    covered += estimate.low <= 0.5 && 0.5 <= estimate.high;
  }
  EXPECT_NEAR(covered / static_cast<double>(kRuns), 0.9, 0.05);
}

TEST(Statistics, DrawsHaveAnAddress) {
  const auto scores = draw_scores(50, 4);
  EXPECT_EQ(Bootstrap({0.95, 300, 1}, 2).means(scores), Bootstrap({0.95, 300, 1}, 2).means(scores));
  EXPECT_NE(Bootstrap({0.95, 300, 1}, 2).means(scores), Bootstrap({0.95, 300, 1}, 3).means(scores));
  EXPECT_NE(Bootstrap({0.95, 300, 1}, 2).means(scores), Bootstrap({0.95, 300, 2}, 2).means(scores));
}

TEST(Statistics, TheAverageOfBenchmarksIsUnweighted) {
  const Estimate average =
      average_estimate(std::vector<double>{0.2, 0.8}, {{0.1, 0.2, 0.3}, {0.8, 0.8, 0.8}}, 0.5);
  EXPECT_DOUBLE_EQ(average.value, 0.5);
  EXPECT_DOUBLE_EQ(average.low, 0.475);
  EXPECT_DOUBLE_EQ(average.high, 0.525);
}

TEST(EvalReport, Table) {
  EvalResult result;
  result.samples = 4;
  result.confidence = 0.95;
  result.resamples = 1000;
  result.bad_rows = 2;
  BenchmarkResult chart;
  chart.name = "ChartQA";
  chart.items = 100;
  chart.mean = {0.7125, 0.65, 0.77, false};
  chart.best = {0.9, 0.825, 0.945, true};
  chart.captions = chart.answers = 400;
  chart.caption_tokens = 50000;
  chart.truncated_captions = 6;
  chart.unread_answers = 20;
  BenchmarkResult none;
  none.name = "MMStar";
  none.skipped = 3;
  result.benchmarks = {chart, none};
  EXPECT_EQ(result_table(result),
            "benchmark  items                mean           best of 4  caption tokens  cut off  "
            "no answer  unasked  skipped\n"
            "ChartQA      100  71.2 [65.0, 77.0]   90.0 [82.5, 94.5]*           125.0    1.5 %     "
            " 5.0 %        0        0\n"
            "MMStar         0                   -                   -               -        -     "
            "     -        0        3\n"
            "\n"
            "95 % intervals: bootstrap over items, 1000 resamples; * Wilson, where every item "
            "scores 0 or 1.\n"
            "2 bad rows of the data left out.\n");
}

}  // namespace
}  // namespace caprl
