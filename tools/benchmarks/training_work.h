// Updates on invented tokens: what caprl-bench-training and caprl-bench-updates have in common.
#pragma once
#include <ATen/ATen.h>

#include <limits>

#include "caprl/ops/policy_loss.h"
#include "caprl/train/learner.h"
#include "caprl/train/loss_batch.h"

namespace caprl {

/// peer_training.py has the same; `words`: of how many.
inline std::vector<int64_t> some_ids(int64_t count, int64_t seed, int64_t words = 40000) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(100 + (seed * 104729 + i * 7919) % words);
  return ids;
}

/// `groups` times `samples` of `tokens` tokens after one prefix.
struct GroupWork {
  int64_t groups = 1, prefix = 0, samples = 0, tokens = 0;
  bool unrolled = false;  // every sample with a prefix of its own
  int64_t scored() const { return groups * samples * tokens; }
  int64_t prefixes() const { return unrolled ? groups * samples : groups; }
};

/// Grouped or not: the same samples, prefixes and weights in the loss.
inline std::vector<ScoredSequence> group_sequences(const GroupWork& work, int64_t words = 40000) {
  std::vector<ScoredSequence> all;
  for (int64_t g = 0; g < work.groups; ++g) {
    const int64_t seed = g * (work.samples + 1);
    for (int64_t s = 0; s < work.samples; ++s) {
      if (s == 0 || work.unrolled)
        all.emplace_back().sequence.prefix.ids = some_ids(work.prefix, seed, words);
      ScoredSequence& sequence = all.back();
      sequence.sequence.branches.push_back(some_ids(work.tokens, seed + s + 1, words));
      sequence.branches.push_back({0, 1.0 / static_cast<double>(work.scored()), 0});
    }
  }
  return all;
}

struct StepSizes {
  int64_t micro_tokens = std::numeric_limits<int64_t>::max();  // of a pass
  int64_t loss_chunk_tokens = 512;
};

struct StepResult {
  double loss = 0, grad_norm = 0;
};

/// The whole update. The loss costs what GRPO's does: its gradient is that of an on-policy token
/// with advantage 1, by the same code.
inline StepResult train_step(Learner& learner, std::span<const ScoredSequence> sequences,
                             int64_t step, const StepSizes& sizes = {}) {
  learner.wait_for_weights();
  std::vector<int64_t> tokens;
  for (const ScoredSequence& scored : sequences) tokens.push_back(num_tokens(scored.sequence));
  const auto passes = pack_by_tokens(tokens, sizes.micro_tokens);
  learner.begin(static_cast<int64_t>(passes.size()));
  std::vector<at::Tensor> losses;  // on the device, which is waited for once
  for (const auto& pass : passes) {
    std::vector<ScoredSequence> together;
    for (const size_t i : pass) together.push_back(sequences[i]);
    learner.begin_pass();
    const LossBatch batch = make_loss_batch(together, learner.model());
    const at::Tensor loss = ops::cross_entropy_loss(
        hidden_rows(learner.model(), batch), learner.model().head_weight(), batch.targets,
        batch.weights, sizes.loss_chunk_tokens, nullptr, learner.model().head_gradient());
    loss.backward();
    learner.end_pass();
    losses.push_back(loss.detach());
  }
  StepResult result;
  for (const at::Tensor& loss : losses) result.loss += loss.item<double>();
  result.grad_norm = learner.finish(step, 1000000, 3, {}).grad_norm;
  return result;
}

}  // namespace caprl
