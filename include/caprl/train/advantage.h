// Rewards of a group to advantages of its captions, and the loss they enter.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/ops/policy_loss.h"

namespace caprl {

enum class AdvantageEstimator { kGrpo, kRloo, kDrGrpo };
enum class LossAggregation {
  kTokenMean,
  kSeqMeanTokenMean,
  kSeqMeanTokenSum,
  kSeqMeanTokenSumNorm
};

/// Whose probability ratio is clipped: each token's, or one for the whole caption (GSPO).
enum class ImportanceSamplingLevel { kToken, kSequence };

/// Section `algorithm.filter_groups`.
struct FilterGroupsConfig {
  bool enable = false;
  int64_t max_num_gen_batches = 1;
  void fields(ConfigVisitor& v);
};

/// Section `algorithm`.
struct AlgorithmConfig {
  AdvantageEstimator adv_estimator = AdvantageEstimator::kGrpo;
  double adv_eps = 1e-6;
  ImportanceSamplingLevel importance_sampling_level = ImportanceSamplingLevel::kToken;
  double clip_ratio_low = 0.2;
  double clip_ratio_high = 0.2;
  double clip_ratio_c = 3.0;
  bool use_kl_loss = false;
  ops::KlEstimator kl_loss_type = ops::KlEstimator::kK3;
  double kl_loss_coef = 0.001;
  double entropy_coeff = 0.0;
  LossAggregation loss_agg_mode = LossAggregation::kTokenMean;
  int64_t loss_scale_factor = 0;
  FilterGroupsConfig filter_groups;
  void fields(ConfigVisitor& v);
  void validate() const;  // InputError
};

/// grpo: (R − mean) / (std + adv_eps), std with n − 1 (DeepSeekMath, arXiv 2402.03300; verl and
/// TRL). rloo: R − mean of the others (arXiv 2402.14740).  dr_grpo: R − mean (arXiv 2503.20783). An
/// absent reward (no valid answer) takes no part and gets 0; a group with nothing to compare gets
/// exactly 0.
std::vector<double> group_advantages(const std::vector<std::optional<double>>& rewards,
                                     const AlgorithmConfig& config);

/// Weight of each token of a sequence in the loss of one update over all `lengths` (scored tokens
/// of each sequence; 0 for those left out): the loss is Σ over sequences of weight · Σ token
/// losses. One denominator for the whole update.
///   token-mean: 1 / Σ lengths;  seq-mean-token-mean: 1 / (sequences · length);
///   seq-mean-token-sum: 1 / sequences;
///   seq-mean-token-sum-norm: 1 / (sequences · loss_scale_factor) (Dr. GRPO's constant divisor)
std::vector<double> aggregation_weights(const std::vector<int64_t>& lengths, LossAggregation mode,
                                        int64_t loss_scale_factor);

}  // namespace caprl
