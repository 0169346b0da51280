#include "caprl/train/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "caprl/train/optimizer.h"

namespace caprl {

double learning_rate(const OptimizerConfig& config, int64_t step, int64_t total_steps) {
  if (step <= config.lr_warmup_steps)
    return config.lr * static_cast<double>(step) / static_cast<double>(config.lr_warmup_steps);
  const auto begin = config.lr_scheduler_type == LrSchedule::kWsd
                         ? std::max(static_cast<double>(config.lr_warmup_steps),
                                    config.wsd_stable_ratio * static_cast<double>(total_steps))
                         : static_cast<double>(config.lr_warmup_steps);
  const double length = std::max(1.0, static_cast<double>(total_steps) - begin);
  const double progress = std::clamp((static_cast<double>(step) - begin) / length, 0.0, 1.0);
  const double floor = config.min_lr_ratio;
  switch (config.lr_scheduler_type) {
    case LrSchedule::kConstant:
      return config.lr;
    case LrSchedule::kLinear:
    case LrSchedule::kWsd:
      return config.lr * (1 - (1 - floor) * progress);
    case LrSchedule::kCosine:
      return config.lr * (floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * progress)));
  }
  return config.lr;
}

}  // namespace caprl
