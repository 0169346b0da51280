// Means over items with confidence intervals.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "caprl/tasks/eval.h"

namespace caprl {

struct BootstrapConfig {
  double confidence = 0.95;
  int64_t resamples = 1000;
  uint64_t seed = 0;
};

/// Wilson's interval of a rate (Wilson, J. Am. Stat. Assoc. 22, 1927).
Estimate wilson(double successes, double count, double confidence);

/// Resampled means of some items' scores: every resample draws as many items as there are, with
/// replacement. Its draws are those of (seed, benchmark, resample), the same for every score.
class Bootstrap {
 public:
  Bootstrap(const BootstrapConfig& config, uint64_t benchmark)
      : config_(config), benchmark_(benchmark) {}

  /// [resamples], not sorted.
  std::vector<double> means(std::span<const double> scores) const;
  /// The mean and its interval: Wilson's where all scores are 0 or 1, else the percentiles of
  /// means(). Not of no scores.
  Estimate estimate(std::span<const double> scores) const;

 private:
  BootstrapConfig config_;
  uint64_t benchmark_;
};

/// The mean of several benchmarks' means, and the percentiles of their resampled means' mean.
Estimate average_estimate(std::span<const double> values,
                          const std::vector<std::vector<double>>& resampled, double confidence);

}  // namespace caprl
