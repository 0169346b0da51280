#include "tasks/eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "caprl/core/philox.h"

namespace caprl {
namespace {

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Linear between the values to both sides.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Estimate percentiles(double value, std::vector<double> resampled, double confidence) {
  std::sort(resampled.begin(), resampled.end());
  const double tail = (1 - confidence) / 2;
  return {value, quantile(resampled, tail), quantile(resampled, 1 - tail), false};
}

/// The standard normal's quantile, by bisection of its distribution.
double normal_quantile(double share) {
  double low = -10, high = 10;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < share ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

Estimate wilson(double successes, double count, double confidence) {
  const double z = normal_quantile(1 - (1 - confidence) / 2);
  const double rate = successes / count, weight = 1 + z * z / count;
  const double center = (rate + z * z / (2 * count)) / weight;
  const double half =
      z / weight * std::sqrt(rate * (1 - rate) / count + z * z / (4 * count * count));
  return {rate, std::max(0.0, center - half), std::min(1.0, center + half), true};
}

std::vector<double> Bootstrap::means(std::span<const double> scores) const {
  const CounterRng rng(config_.seed, RandomPurpose::kBootstrap, {benchmark_});
  const auto count = static_cast<int64_t>(scores.size());
  std::vector<double> means;
  for (int64_t resample = 0; resample < config_.resamples; ++resample) {
    double sum = 0;
    for (int64_t draw = 0; draw < count; ++draw)
      sum += scores[static_cast<size_t>(
          rng.below(count, static_cast<uint64_t>(resample), static_cast<uint64_t>(draw)))];
    means.push_back(sum / static_cast<double>(count));
  }
  return means;
}

Estimate Bootstrap::estimate(std::span<const double> scores) const {
  const bool is_rate =
      std::all_of(scores.begin(), scores.end(), [](double s) { return s == 0 || s == 1; });
  const double value = mean(scores);
  if (is_rate)
    return wilson(std::accumulate(scores.begin(), scores.end(), 0.0),
                  static_cast<double>(scores.size()), config_.confidence);
  return percentiles(value, means(scores), config_.confidence);
}

Estimate average_estimate(std::span<const double> values,
                          const std::vector<std::vector<double>>& resampled, double confidence) {
  std::vector<double> means(resampled.front().size());
  for (const auto& one : resampled)
    for (size_t i = 0; i < means.size(); ++i)
      means[i] += one[i] / static_cast<double>(resampled.size());
  return percentiles(mean(values), std::move(means), confidence);
}

}  // namespace caprl
