// The update half of a GRPO step: from groups with rewards to new weights.
#pragma once
#include <vector>

#include "caprl/core/metrics.h"
#include "caprl/dist/group.h"
#include "caprl/train/config.h"
#include "caprl/train/learner.h"
#include "caprl/train/rollout.h"
#include "train/token_budget.h"

namespace caprl {

/// Runs train.ppo_epochs × train.ppo_mini_batches updates on the groups, of which every rank of
/// `ranks` knows all and trains those that deal_groups gave it. `reference` is used without
/// adapters, so it may be the learner's model itself; null without a KL term. Groups run together
/// as `budget` allows. Adds actor/* and training/rollout_probs_diff_* to the metrics, the same on
/// all ranks.
void update_policy(Learner& learner, const Model* reference, const GrpoConfig& config,
                   const Group& ranks, const std::vector<CaptionGroup>& groups, int64_t step,
                   TokenBudget& budget, Metrics& metrics);

}  // namespace caprl
