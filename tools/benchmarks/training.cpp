// `tools/bench training`: one training step on the CPU, fp32.
//   caprl-bench-training MODEL step SEQUENCES TOKENS THREADS
//     next tokens of some sequences, all weights, AdamW, one pass. Prints the loss and the
//     gradient's norm, as peer_training.py does.
//   caprl-bench-training MODEL group|unrolled PREFIX SAMPLES TOKENS THREADS
//     the tokens of some samples after one prefix: as a group, or each with a prefix of its own.
//     Prints the same numbers for both.
// Then every line on stdin asks for one step; the answer is its seconds. A line "memory" asks for
// the highest resident bytes so far, "trace FILE" for a step's trace as Chrome's JSON.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <sys/resource.h>

#include "caprl/train/profile.h"
#include "round_program.h"
#include "training_work.h"

namespace caprl {
namespace {

/// The tokens after the first of each sequence.
std::vector<ScoredSequence> sequences(int64_t count, int64_t tokens) {
  std::vector<ScoredSequence> all;
  for (int64_t s = 0; s < count; ++s) {
    const auto ids = some_ids(tokens, s);
    ScoredSequence& sequence = all.emplace_back();
    sequence.sequence.prefix.ids = {ids.front()};
    sequence.sequence.branches = {{ids.begin() + 1, ids.end()}};
    sequence.branches = {{0, 1.0 / static_cast<double>(count * (tokens - 1)), 0}};
  }
  return all;
}

int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

int bench(int argc, char** argv) {
  const std::string kind = argc > 2 ? argv[2] : "";
  const bool step = kind == "step" && argc == 6;
  const bool grouped = (kind == "group" || kind == "unrolled") && argc == 7;
  if (!step && !grouped)
    throw InputError(
        "usage: caprl-bench-training MODEL step SEQUENCES TOKENS THREADS | group|unrolled PREFIX "
        "SAMPLES TOKENS THREADS");
  const auto number = [&](int i) { return std::stoll(argv[i]); };
  at::set_num_threads(static_cast<int>(number(argc - 1)));
  const auto work = step
                        ? sequences(number(3), number(4))
                        : group_sequences({1, number(3), number(4), number(5), kind == "unrolled"});
  OptimizerConfig optimizer;
  optimizer.lr = 1e-5;
  optimizer.lr_warmup_steps = 0;
  Learner learner(argv[1], argv[1], {.dtype = at::kFloat, .train = TrainedParts::kAll}, optimizer,
                  Group::alone(), {});
  int64_t steps = 1;
  const StepResult first = train_step(learner, work, steps);
  std::cout << first.loss << " " << first.grad_norm << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "memory") {
      std::cout << peak_bytes() << std::endl;
      continue;
    }
    std::optional<Trace> trace;
    if (line.starts_with("trace ")) trace.emplace();
    const auto start = Clock::now();
    train_step(learner, work, ++steps);
    std::cout << seconds_since(start) << std::endl;
    if (trace) trace->save(line.substr(6));
  }
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::bench); }
