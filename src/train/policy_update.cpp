#include "train/policy_update.h"

#include <ATen/core/grad_mode.h>
#include <cmath>

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

/// What one rank trains of a mini-batch.
struct MiniBatch {
  std::vector<const CaptionGroup*> groups;
  Sequences sequences;
  std::vector<at::Tensor> old, reference;  // of each microbatch; empty: not used
};

MiniBatch make_mini_batch(std::span<const CaptionGroup> groups, const GrpoConfig& config,
                          int rank) {
  MiniBatch batch;
  const auto weights = caption_weights(groups, config);
  auto weight = weights.begin();
  for (const CaptionGroup& group : groups) {
    const auto first = weight;
    weight += static_cast<int64_t>(group.captions.size());
    if (group.trained_by != rank) continue;
    batch.groups.push_back(&group);
    ScoredSequence& scored = batch.sequences.emplace_back();
    scored.sequence.prefix = group.prompt;
    for (size_t i = 0; i < group.captions.size(); ++i) {
      scored.sequence.branches.push_back(group.captions[i].sampled.ids);
      scored.branches.push_back({0, first[static_cast<int64_t>(i)], group.captions[i].advantage});
    }
  }
  return batch;
}

/// The sampler's log-probabilities, in the order of a batch's rows.
at::Tensor rollout_logprobs(const MiniBatch& batch) {
  std::vector<float> values;
  for (const CaptionGroup* group : batch.groups)
    for (const Caption& caption : group->captions)
      values.insert(values.end(), caption.sampled.logprobs.begin(), caption.sampled.logprobs.end());
  return at::tensor(values, at::kFloat);
}

/// Log-probabilities of every scored token under a model, one tensor a microbatch.
std::vector<at::Tensor> score_tokens(const Model& model, const Sequences& sequences,
                                     const GrpoConfig& config) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> logprobs;
  for (const auto micro : split_by_tokens(sequences, config.train.micro_tokens)) {
    const LossBatch batch = make_loss_batch(micro, model);
    logprobs.push_back(ops::token_logprobs(hidden_rows(model, batch), model.head_weight(),
                                           batch.targets, config.rollout.temperature,
                                           config.train.loss_chunk_tokens));
  }
  model.join_other_passes();
  return logprobs;
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

std::vector<std::string> ids(std::span<const CaptionGroup* const> groups) {
  std::vector<std::string> ids;
  for (const CaptionGroup* group : groups) ids.push_back(group->row->id);
  return ids;
}

std::vector<MiniBatch> mini_batches(const std::vector<CaptionGroup>& groups,
                                    const GrpoConfig& config, int rank) {
  const int64_t count = config.train.ppo_mini_batches;
  std::vector<MiniBatch> batches;
  for (int64_t i = 0; i < count; ++i)
    if (const auto part = mini_batch(groups, i, count); !part.empty())
      batches.push_back(make_mini_batch(part, config, rank));
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
  const at::Tensor sampled = first ? rollout_logprobs(mini) : at::Tensor();
  const auto micros = split_by_tokens(mini.sequences, config.train.micro_tokens);
  learner.begin(static_cast<int64_t>(micros.size()));
  int64_t row = 0;
  size_t index = 0;
  std::span groups = mini.groups;
  for (const auto micro : micros) {
    learner.begin_pass();
    const LossBatch batch = make_loss_batch(micro, learner.model());
    ops::PolicyLossInput input{batch.targets, batch.advantages, batch.weights, {}, {}};
    if (!mini.old.empty()) input.old_logprobs = mini.old[index];
    if (!mini.reference.empty()) input.reference_logprobs = mini.reference[index];
    const auto result =
        policy_loss(hidden_rows(learner.model(), batch), learner.model(), batch, input, config);
    result.loss.backward();
    learner.end_pass();
    const int64_t rows = batch.rows.numel();
    totals.add(result, batch, input.old_logprobs,
               first ? sampled.narrow(0, row, rows) : at::Tensor(),
               ids(groups.first(micro.size())));
    groups = groups.subspan(micro.size());
    row += rows;
    ++index;
  }
}

}  // namespace

void update_policy(Learner& learner, const Model* reference, const GrpoConfig& config,
                   const Group& ranks, const std::vector<CaptionGroup>& groups, int64_t step,
                   Metrics& metrics) {
  auto batches = mini_batches(groups, config, ranks.rank());
  const bool on_policy = config.train.ppo_epochs == 1 && batches.size() == 1;
  learner.wait_for_weights();
  for (MiniBatch& batch : batches) {
    if (reference) {
      const ops::AdaptersOff base_weights;
      batch.reference = score_tokens(*reference, batch.sequences, config);
    }
    if (!on_policy) batch.old = score_tokens(learner.model(), batch.sequences, config);
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
                              not_finite.empty() ? ids(batch.groups) : not_finite);
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
