#include "caprl/train/advantage.h"

#include <algorithm>
#include <numeric>

#include "caprl/core/error.h"
#include "caprl/reward/group_values.h"

namespace caprl {

void FilterGroupsConfig::fields(ConfigVisitor& v) {
  v.field(
      "enable", enable,
      "leave groups whose rewards are all equal out of the update, loss normalisation included");
  v.field(
      "max_num_gen_batches", max_num_gen_batches,
      "batches of rows that a step may sample until data.train_batch_size groups are left (DAPO); "
      "1: no further ones",
      Range{1, 1e6});
}

void AlgorithmConfig::fields(ConfigVisitor& v) {
  v.choice("adv_estimator", adv_estimator,
           {{"grpo", AdvantageEstimator::kGrpo},
            {"rloo", AdvantageEstimator::kRloo},
            {"dr_grpo", AdvantageEstimator::kDrGrpo}},
           "how a reward is compared with its group");
  v.field("adv_eps", adv_eps, "added to the group's standard deviation (grpo)", Range{0, 1});
  v.choice("importance_sampling_level", importance_sampling_level,
           {{"token", ImportanceSamplingLevel::kToken},
            {"sequence", ImportanceSamplingLevel::kSequence}},
           "whose probability ratio is clipped: each token's, or the caption's (GSPO)");
  v.field("clip_ratio_low", clip_ratio_low, "the ratio is clipped below 1 minus this", Range{0, 1});
  v.field("clip_ratio_high", clip_ratio_high, "the ratio is clipped above 1 plus this",
          Range{0, 1e9});
  v.field("clip_ratio_c", clip_ratio_c,
          "dual clip: bound of the ratio for negative advantages, above 1; 0: off", Range{0, 1e9});
  v.field("use_kl_loss", use_kl_loss, "add a KL term against the reference model to the loss");
  v.choice(
      "kl_loss_type", kl_loss_type,
      {{"k1", ops::KlEstimator::kK1}, {"k2", ops::KlEstimator::kK2}, {"k3", ops::KlEstimator::kK3}},
      "estimator of the KL divergence");
  v.field("kl_loss_coef", kl_loss_coef, "weight of the KL term", Range{0, 1e6});
  v.field("entropy_coeff", entropy_coeff, "weight of the entropy bonus", Range{0, 1e6});
  v.choice("loss_agg_mode", loss_agg_mode,
           {{"token-mean", LossAggregation::kTokenMean},
            {"seq-mean-token-mean", LossAggregation::kSeqMeanTokenMean},
            {"seq-mean-token-sum", LossAggregation::kSeqMeanTokenSum},
            {"seq-mean-token-sum-norm", LossAggregation::kSeqMeanTokenSumNorm}},
           "how token losses become one number, over the whole update");
  v.field("loss_scale_factor", loss_scale_factor,
          "constant divisor of seq-mean-token-sum-norm; 0: rollout.response_length", Range{0, 1e9});
  v.section("filter_groups", filter_groups, "groups without anything to learn from");
}

void AlgorithmConfig::validate() const {
  if (clip_ratio_c != 0 && clip_ratio_c <= 1)
    throw InputError("config: 'algorithm.clip_ratio_c': expected 0 (off) or more than 1, got {}",
                     clip_ratio_c);
}

std::vector<double> group_advantages(const std::vector<std::optional<double>>& rewards,
                                     const AlgorithmConfig& config) {
  std::vector<double> advantages(rewards.size(), 0.0);
  if (nothing_to_compare(rewards)) return advantages;
  const GroupMoments group = group_moments(rewards);
  for (size_t i = 0; i < rewards.size(); ++i) {
    if (!rewards[i]) continue;
    switch (config.adv_estimator) {
      case AdvantageEstimator::kGrpo:
        advantages[i] = (*rewards[i] - group.mean) / (group.deviation + config.adv_eps);
        break;
      case AdvantageEstimator::kRloo:
        advantages[i] = *rewards[i] - (group.sum - *rewards[i]) / (group.count - 1);
        break;
      case AdvantageEstimator::kDrGrpo:
        advantages[i] = *rewards[i] - group.mean;
        break;
    }
  }
  return advantages;
}

std::vector<double> aggregation_weights(const std::vector<int64_t>& lengths, LossAggregation mode,
                                        int64_t loss_scale_factor) {
  std::vector<double> weights(lengths.size(), 0.0);
  const auto tokens =
      static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
  const auto sequences = static_cast<double>(
      std::count_if(lengths.begin(), lengths.end(), [](int64_t n) { return n > 0; }));
  if (mode == LossAggregation::kSeqMeanTokenSumNorm && loss_scale_factor < 1)
    throw Error("[aggregation_weights] expected a loss_scale_factor of at least 1, got {}",
                loss_scale_factor);
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] == 0) continue;
    switch (mode) {
      case LossAggregation::kTokenMean:
        weights[i] = 1 / tokens;
        break;
      case LossAggregation::kSeqMeanTokenMean:
        weights[i] = 1 / (sequences * static_cast<double>(lengths[i]));
        break;
      case LossAggregation::kSeqMeanTokenSum:
        weights[i] = 1 / sequences;
        break;
      case LossAggregation::kSeqMeanTokenSumNorm:
        weights[i] = 1 / (sequences * static_cast<double>(loss_scale_factor));
        break;
    }
  }
  return weights;
}

}  // namespace caprl
