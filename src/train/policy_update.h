// The update half of a GRPO step: from groups with rewards to new weights.
#pragma once
#include <vector>

#include "caprl/core/metrics.h"
#include "caprl/train/config.h"
#include "caprl/train/learner.h"
#include "caprl/train/rollout.h"

namespace caprl {

/// Runs train.ppo_epochs × train.ppo_mini_batches updates on the groups. `reference` may be null
/// without a KL term. `updates_done` /// Adds actor/* and training/rollout_probs_diff_* to the
/// metrics.
void update_policy(Learner& learner, const Model* reference, const GrpoConfig& config,
                   const std::vector<CaptionGroup>& groups, int64_t step, Metrics& metrics);

}  // namespace caprl
