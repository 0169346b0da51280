// The learning rate as a function of the step.
#pragma once
#include <cstdint>

namespace caprl {

struct OptimizerConfig;

/// Learning rate of step 1 … total_steps: linear warm-up over lr_warmup_steps (step s gets lr · s /
/// lr_warmup_steps), then constant; linear or cosine from lr to min_lr_ratio · lr; or wsd: constant
/// up to wsd_stable_ratio of the steps, then linear to min_lr_ratio · lr at the last step.
double learning_rate(const OptimizerConfig& config, int64_t step, int64_t total_steps);

}  // namespace caprl
