// Two processes of this machine that train one model: what the programs of tools/bench parallel and
// scaling have in common.
#pragma once
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <sys/wait.h>
#include <unistd.h>

#include "caprl/ops/policy_loss.h"
#include "caprl/train/learner.h"
#include "caprl/train/loss_batch.h"

namespace caprl {

inline Group connect_two(int rank, int port) {
  at::set_num_threads(1);
  Launch launch;
  launch.rank = rank;
  launch.world_size = 2;
  launch.master_port = port;
  const auto timeout = std::chrono::minutes(10);
  return Group::connect(launch, RunStore::connect(launch, timeout), at::kCPU, timeout);
}

/// Of fp32 weights, all of them trained.
inline Learner make_learner(const std::string& model, const Group& group, int64_t zero_stage) {
  ModelOptions options;
  options.dtype = at::kFloat;
  options.train = TrainedParts::kAll;
  ParallelConfig parallel;
  parallel.zero_stage = zero_stage;
  return {model, model, options, {}, group, parallel};
}

/// One pass over a sequence of `tokens`, and the update.
inline void train_step(Learner& learner, int64_t tokens, int64_t step) {
  learner.wait_for_weights();
  ScoredSequence sequence;
  sequence.sequence.prefix.ids = {1};
  auto& ids = sequence.sequence.branches.emplace_back();
  for (int64_t i = 0; i < tokens; ++i) ids.push_back(100 + i * 7919 % 40000);
  sequence.branches.push_back({0, 1.0 / static_cast<double>(tokens), 0});
  const LossBatch batch = make_loss_batch(std::span(&sequence, 1), learner.model());
  learner.begin(1);
  learner.begin_pass();
  ops::cross_entropy_loss(hidden_rows(learner.model(), batch), learner.model().head_weight(),
                          batch.targets, batch.weights, 2048, nullptr,
                          learner.model().head_gradient())
      .backward();
  learner.end_pass();
  learner.finish(step, 1000000, 3, {});
  learner.wait_for_weights();
}

/// `run_rank` as ranks 0 and 1; the exit code of rank 0.
template <class RunRank>
int run_two(RunRank run_rank) {
  const pid_t child = ::fork();  // before any thread
  if (child == 0) ::_exit(run_rank(1));
  const int code = run_rank(0);
  ::waitpid(child, nullptr, 0);
  return code;
}

}  // namespace caprl
