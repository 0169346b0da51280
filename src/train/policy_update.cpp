#include "train/policy_update.h"

#include <ATen/core/grad_mode.h>
#include <cmath>

#include "caprl/core/error.h"
#include "caprl/ops/policy_loss.h"
#include "caprl/train/loss_batch.h"
#include "train/share.h"
#include "train/step_metrics.h"

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

/// Token-weighted sums over the updates of a step: this rank's, then all ranks'.
struct Totals {
  double loss = 0, entropy = 0, kl = 0, ppo_kl = 0, clipped = 0, tokens = 0;
  Summary probs_diff;
  std::vector<std::string> not_finite;  // ids of the images whose loss is not

  void add(const ops::PolicyLossResult& result, const LossBatch& batch, const at::Tensor& old) {
    const at::Tensor used = batch.weights > 0;
    const auto sum = [&](const at::Tensor& values) {
      return at::where(used, values.to(at::kDouble), 0.0).sum().item<double>();
    };
    loss += result.loss.item<double>();
    tokens += used.sum().item<double>();
    entropy += sum(result.entropy);
    kl += sum(result.kl);
    clipped += sum(result.clipped);
    if (old.defined()) ppo_kl += sum(old - result.logprobs);
  }

  void compare_with_rollout(const at::Tensor& trained, const at::Tensor& sampled) {
    const at::Tensor difference =
        (trained.to(at::kDouble).exp() - sampled.to(trained.device(), at::kDouble).exp()).abs();
    if (difference.numel() == 0) return;
    probs_diff.add(difference.max().item<double>(), difference.mean().item<double>(),
                   difference.numel());
  }

  void add_other_ranks(const Group& ranks) {
    if (ranks.size() == 1) return;
    const std::vector<double> mine = {loss,
                                      entropy,
                                      kl,
                                      ppo_kl,
                                      clipped,
                                      tokens,
                                      probs_diff.max(),
                                      probs_diff.mean(),
                                      static_cast<double>(probs_diff.count())};
    loss = entropy = kl = ppo_kl = clipped = tokens = 0;
    probs_diff = {};
    for (const auto& theirs : gather_numbers(ranks, mine)) {
      size_t i = 0;
      for (double* sum : {&loss, &entropy, &kl, &ppo_kl, &clipped, &tokens}) *sum += theirs[i++];
      if (theirs[8] > 0) probs_diff.add(theirs[6], theirs[7], static_cast<int64_t>(theirs[8]));
    }
  }
};

std::vector<std::string> ids(const MiniBatch& batch) {
  std::vector<std::string> ids;
  for (const CaptionGroup* group : batch.groups) ids.push_back(group->row->id);
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
                Totals& totals) {
  const at::Tensor sampled = first ? rollout_logprobs(mini) : at::Tensor();
  const auto micros = split_by_tokens(mini.sequences, config.train.micro_tokens);
  learner.begin(static_cast<int64_t>(micros.size()));
  int64_t row = 0;
  size_t index = 0, first_group = 0;
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
    totals.add(result, batch, input.old_logprobs);
    if (!std::isfinite(result.loss.item<double>()))
      for (size_t i = 0; i < micro.size(); ++i)
        totals.not_finite.push_back(mini.groups[first_group + i]->row->id);
    first_group += micro.size();
    if (first) {
      const int64_t rows = batch.rows.numel();
      totals.compare_with_rollout(result.logprobs, sampled.narrow(0, row, rows));
      row += rows;
    }
    ++index;
  }
}

void report(const Totals& totals, const UpdateResult& update, double updates, Metrics& metrics) {
  const double tokens = std::max(totals.tokens, 1.0);
  metrics["actor/pg_loss"] = totals.loss / updates;
  metrics["actor/entropy"] = totals.entropy / tokens;
  metrics["actor/kl_loss"] = totals.kl / tokens;
  metrics["actor/ppo_kl"] = totals.ppo_kl / tokens;
  metrics["actor/pg_clipfrac"] = totals.clipped / tokens;
  metrics["actor/grad_norm"] = update.grad_norm;
  metrics["actor/lr"] = update.lr;
  metrics["actor/skipped_updates"] = update.skipped;
  metrics["training/rollout_probs_diff_max"] = totals.probs_diff.max();
  metrics["training/rollout_probs_diff_mean"] = totals.probs_diff.mean();
}

}  // namespace

void update_policy(Learner& learner, const Model* reference, const GrpoConfig& config,
                   const Group& ranks, const std::vector<CaptionGroup>& groups, int64_t step,
                   Metrics& metrics) {
  auto batches = mini_batches(groups, config, ranks.rank());
  const bool on_policy = config.train.ppo_epochs == 1 && batches.size() == 1;
  learner.wait_for_weights();
  for (MiniBatch& batch : batches) {
    if (reference) batch.reference = score_tokens(*reference, batch.sequences, config);
    if (!on_policy) batch.old = score_tokens(learner.model(), batch.sequences, config);
  }
  Totals totals;
  UpdateResult update;
  double updates = 0, wait_seconds = 0;
  for (int64_t epoch = 0; epoch < config.train.ppo_epochs; ++epoch) {
    for (const MiniBatch& batch : batches) {
      learner.wait_for_weights();
      accumulate(learner, batch, config, updates == 0, totals);
      update = learner.finish(step, config.train.total_steps, config.train.max_skipped_steps,
                              totals.not_finite.empty() ? ids(batch) : totals.not_finite);
      totals.not_finite.clear();
      wait_seconds += update.wait_seconds;
      ++updates;
    }
  }
  metrics["timing_s/wait_update"] = wait_seconds;
  totals.add_other_ranks(ranks);
  report(totals, update, std::max(updates, 1.0), metrics);
  const double bound = config.train.max_rollout_probs_diff;
  if (bound > 0 && totals.probs_diff.max() > bound)
    throw Error(
        "step {}: a sampled token's probability differs by {:.4g} between rollout and "
        "training; train.max_rollout_probs_diff allows {:.4g}",
        step, totals.probs_diff.max(), bound);
}

}  // namespace caprl
