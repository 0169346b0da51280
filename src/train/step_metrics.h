// The figures of one step, under the names that verl and TRL use.
#pragma once
#include <vector>

#include "caprl/core/metrics.h"
#include "caprl/train/rollout.h"

namespace caprl {

/// critic/rewards/*, reward_std, response_length/*, frac_reward_zero_std, reward/*.
void add_rollout_metrics(const std::vector<CaptionGroup>& groups, Metrics& metrics);

/// perf/rollout_*: how fast captions were sampled, and how full the batch and the cache were.
void add_generation_metrics(const GenerationStats& stats, Metrics& metrics);

/// val/*: mean reward, accuracy and length of captions of held-out images.
void add_validation_metrics(const std::vector<CaptionGroup>& groups, Metrics& metrics);

/// Running mean and maximum, 0 of nothing.
class Summary {
 public:
  void add(double value) { add(value, value, 1); }
  /// Several values at once, by their maximum, mean and count.
  void add(double max, double mean, int64_t count);
  double mean() const { return count_ ? sum_ / static_cast<double>(count_) : 0; }
  double max() const { return count_ ? max_ : 0; }
  int64_t count() const { return count_; }

 private:
  int64_t count_ = 0;
  double sum_ = 0, max_ = 0;
};

}  // namespace caprl
