#include "train/policy_update.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "caprl/core/error.h"
#include "caprl/ops/low_rank.h"
#include "caprl/ops/policy_loss.h"
#include "caprl/train/loss_batch.h"
#include "train/policy_totals.h"
#include "train/share.h"

namespace caprl {
namespace {

using Sequences = std::vector<ScoredSequence>;

/// A caption without a reward, and a truncated one if so configured, is left out of the loss.
bool in_loss(const Caption& caption, const GrpoConfig& config) {
  return caption.reward.value &&
         (caption.sampled.stopped || !config.train.mask_truncated_completions);
}

/// Weights of all captions of `groups` in the loss: the denominator is the whole mini-batch's.
std::vector<double> caption_weights(std::span<const CaptionGroup> groups,
                                    const GrpoConfig& config) {
  std::vector<int64_t> lengths;
  for (const CaptionGroup& group : groups)
    for (const Caption& caption : group.captions)
      lengths.push_back(in_loss(caption, config) ? static_cast<int64_t>(caption.sampled.ids.size())
                                                 : 0);
  const int64_t scale = config.algorithm.loss_scale_factor ? config.algorithm.loss_scale_factor
                                                           : config.rollout.response_length;
  return aggregation_weights(lengths, config.algorithm.loss_agg_mode, scale);
}

/// Groups that run together in one pass.
struct MicroBatch {
  std::vector<const CaptionGroup*> groups;
  Sequences sequences;
  at::Tensor old, reference;  // log-probabilities of the scored tokens; undefined: not used
};
/// What one rank trains of a mini-batch, in the order in which gradients are added up.
using MiniBatch = std::vector<MicroBatch>;

MiniBatch pack(const std::vector<const CaptionGroup*>& groups, Sequences sequences,
               TokenBudget& budget) {
  MiniBatch batch;
  for (const auto& pass : budget.pack(
           sequences, [&](size_t i) { return fmt::format("image {}", groups[i]->row->id); })) {
    MicroBatch& micro = batch.emplace_back();
    for (const size_t i : pass) {
      micro.groups.push_back(groups[i]);
      micro.sequences.push_back(std::move(sequences[i]));
    }
  }
  return batch;
}

MiniBatch make_mini_batch(std::span<const CaptionGroup> all, const GrpoConfig& config, int rank,
                          TokenBudget& budget) {
  std::vector<const CaptionGroup*> groups;
  Sequences sequences;
  const auto weights = caption_weights(all, config);
  auto weight = weights.begin();
  for (const CaptionGroup& group : all) {
    const auto first = weight;
    weight += static_cast<int64_t>(group.captions.size());
    if (group.trained_by != rank) continue;
    groups.push_back(&group);
    ScoredSequence& scored = sequences.emplace_back();
    scored.sequence.prefix = group.prompt;
    for (size_t i = 0; i < group.captions.size(); ++i) {
      scored.sequence.branches.push_back(group.captions[i].sampled.ids);
      scored.branches.push_back({0, first[static_cast<int64_t>(i)], group.captions[i].advantage});
    }
  }
  return pack(groups, std::move(sequences), budget);
}

/// The sampler's log-probabilities, in the order of a batch's rows.
at::Tensor rollout_logprobs(const MicroBatch& batch) {
  std::vector<float> values;
  for (const CaptionGroup* group : batch.groups)
    for (const Caption& caption : group->captions)
      values.insert(values.end(), caption.sampled.logprobs.begin(), caption.sampled.logprobs.end());
  return at::tensor(values, at::kFloat);
}

/// Log-probabilities of every scored token under a model, to that member of each microbatch.
void score_tokens(const Model& model, const GrpoConfig& config, at::Tensor MicroBatch::*logprobs,
                  MiniBatch& mini) {
  at::NoGradGuard no_grad;
  for (MicroBatch& micro : mini) {
    const LossBatch batch = make_loss_batch(micro.sequences, model);
    micro.*logprobs =
        ops::token_logprobs(hidden_rows(model, batch), model.head_weight(), batch.targets,
                            config.rollout.temperature, config.train.loss_chunk_tokens);
  }
  model.join_other_passes();
}

ops::PolicyLossOptions loss_options(const GrpoConfig& config) {
  ops::PolicyLossOptions options;
  options.temperature = config.rollout.temperature;
  options.clip_ratio_low = config.algorithm.clip_ratio_low;
  options.clip_ratio_high = config.algorithm.clip_ratio_high;
  options.clip_ratio_c = config.algorithm.clip_ratio_c;
  options.kl =
      config.algorithm.use_kl_loss ? config.algorithm.kl_loss_type : ops::KlEstimator::kNone;
  options.kl_coef = config.algorithm.use_kl_loss ? config.algorithm.kl_loss_coef : 0;
  options.entropy_coeff = config.algorithm.entropy_coeff;
  options.chunk_tokens = config.train.loss_chunk_tokens;
  options.logits_dtype = parse_dtype(config.train.logits_dtype, "config: 'train.logits_dtype'");
  return options;
}

std::vector<std::string> ids(const MicroBatch& micro) {
  std::vector<std::string> ids;
  for (const CaptionGroup* group : micro.groups) ids.push_back(group->row->id);
  return ids;
}
std::vector<std::string> ids(const MiniBatch& mini) {
  std::vector<std::string> all;
  for (const MicroBatch& micro : mini) std::ranges::copy(ids(micro), std::back_inserter(all));
  return all;
}

std::vector<MiniBatch> mini_batches(const std::vector<CaptionGroup>& groups,
                                    const GrpoConfig& config, int rank, TokenBudget& budget) {
  const int64_t count = config.train.ppo_mini_batches;
  std::vector<MiniBatch> batches;
  for (int64_t i = 0; i < count; ++i)
    if (const auto part = mini_batch(groups, i, count); !part.empty())
      batches.push_back(make_mini_batch(part, config, rank, budget));
  return batches;
}

ops::PolicyLossResult policy_loss(const at::Tensor& hidden, const Model& model,
                                  const LossBatch& batch, const ops::PolicyLossInput& input,
                                  const GrpoConfig& config) {
  const ops::PolicyLossOptions options = loss_options(config);
  if (config.algorithm.importance_sampling_level == ImportanceSamplingLevel::kSequence)
    return ops::sequence_policy_loss(hidden, model.head_weight(), input, batch.branches, options,
                                     model.head_gradient());
  return ops::policy_loss(hidden, model.head_weight(), input, options, model.head_gradient());
}

/// Gradients of one mini-batch, microbatch by microbatch. `first`: the weights are still those of
/// the rollout.
void accumulate(Learner& learner, const MiniBatch& mini, const GrpoConfig& config, bool first,
                PolicyTotals& totals) {
  learner.begin(static_cast<int64_t>(mini.size()));
  for (const MicroBatch& micro : mini) {
    learner.begin_pass();
    const LossBatch batch = make_loss_batch(micro.sequences, learner.model());
    const ops::PolicyLossInput input{batch.targets, batch.advantages, batch.weights, micro.old,
                                     micro.reference};
    const auto result =
        policy_loss(hidden_rows(learner.model(), batch), learner.model(), batch, input, config);
    result.loss.backward();
    learner.end_pass();
    totals.add(result, batch, micro.old, first ? rollout_logprobs(micro) : at::Tensor(),
               ids(micro));
  }
}

}  // namespace

void update_policy(Learner& learner, const Model* reference, const GrpoConfig& config,
                   const Group& ranks, const std::vector<CaptionGroup>& groups, int64_t step,
                   TokenBudget& budget, Metrics& metrics) {
  auto batches = mini_batches(groups, config, ranks.rank(), budget);
  const bool on_policy = config.train.ppo_epochs == 1 && batches.size() == 1;
  learner.wait_for_weights();
  for (MiniBatch& batch : batches) {
    if (reference) {
      const ops::AdaptersOff base_weights;
      score_tokens(*reference, config, &MicroBatch::reference, batch);
    }
    if (!on_policy) score_tokens(learner.model(), config, &MicroBatch::old, batch);
  }
  PolicyTotals totals;
  UpdateResult update;
  double updates = 0, wait_seconds = 0;
  for (int64_t epoch = 0; epoch < config.train.ppo_epochs; ++epoch) {
    for (const MiniBatch& batch : batches) {
      learner.wait_for_weights();
      accumulate(learner, batch, config, updates == 0, totals);
      const auto not_finite = totals.settle();
      update = learner.finish(step, config.train.total_steps, config.train.max_skipped_steps,
                              not_finite.empty() ? ids(batch) : not_finite);
      wait_seconds += update.wait_seconds;
      ++updates;
    }
  }
  metrics["timing_s/wait_update"] = wait_seconds;
  totals.add_other_ranks(ranks);
  totals.report(std::max(updates, 1.0), metrics);
  metrics["actor/grad_norm"] = update.grad_norm;
  metrics["actor/lr"] = update.lr;
  metrics["actor/skipped_updates"] = update.skipped;
  const double bound = config.train.max_rollout_probs_diff;
  if (bound > 0 && totals.max_probs_diff() > bound)
    throw Error(
        "step {}: a sampled token's probability differs by {:.4g} between rollout and "
        "training; train.max_rollout_probs_diff allows {:.4g}",
        step, totals.max_probs_diff(), bound);
}

}  // namespace caprl
