// What a step's updates add up to: token-weighted sums, over this rank's microbatches and then over
// all ranks.
#pragma once
#include <string>
#include <vector>

#include "caprl/core/metrics.h"
#include "caprl/dist/group.h"
#include "caprl/ops/policy_loss.h"
#include "caprl/train/loss_batch.h"
#include "train/step_metrics.h"

namespace caprl {

class PolicyTotals {
 public:
  /// One microbatch. The sums stay on its device until settle(), so that the host does not wait for
  /// it. `old` log-probabilities are undefined when strictly on-policy, and those of the rollout,
  /// `sampled`, where there is nothing to compare. `images` are the ids of what was trained on.
  void add(const ops::PolicyLossResult& result, const LossBatch& batch, const at::Tensor& old,
           const at::Tensor& sampled, std::vector<std::string> images);
  /// Waits for the microbatches so far → the images of those whose loss is not finite.
  std::vector<std::string> settle();

  /// After settle().
  void add_other_ranks(const Group& ranks);
  /// actor/* and training/rollout_probs_diff_*, of `updates` updates.
  void report(double updates, Metrics& metrics) const;
  double max_probs_diff() const { return probs_diff_.max(); }

 private:
  struct Pending {
    at::Tensor numbers;  // double, on the device
    int64_t compared;    // tokens whose probabilities were
    std::vector<std::string> images;
  };
  std::vector<Pending> pending_;
  double loss_ = 0, tokens_ = 0, entropy_ = 0, kl_ = 0, clipped_ = 0, ppo_kl_ = 0;
  Summary probs_diff_;
};

}  // namespace caprl
