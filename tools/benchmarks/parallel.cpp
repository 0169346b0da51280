// `tools/bench parallel`: what two processes pay for training one model.
//   caprl-bench-parallel MODEL TOKENS PORT together STAGE|apart
// Two processes make steps of the same size at the same time: together, with their gradients summed
// and their weights exchanged, or each for itself. Every line on stdin asks for one step; the
// answer is its seconds.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <sys/wait.h>
#include <unistd.h>

#include "caprl/ops/policy_loss.h"
#include "caprl/train/learner.h"
#include "caprl/train/loss_batch.h"
#include "round_program.h"

namespace caprl {
namespace {

struct Arguments {
  std::string model;
  int64_t tokens;
  int port;
  bool together;
  int64_t stage;
};

void train_step(Learner& learner, int64_t tokens, int64_t step) {
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

int run_rank(int rank, const Arguments& arguments) {
  at::set_num_threads(1);
  Launch launch;
  launch.rank = rank;
  launch.world_size = 2;
  launch.master_port = arguments.port;
  const auto timeout = std::chrono::minutes(10);
  const Group group = Group::connect(launch, RunStore::connect(launch, timeout), at::kCPU, timeout);
  ModelOptions options;
  options.dtype = at::kFloat;
  options.train = TrainedParts::kAll;
  ParallelConfig parallel;
  parallel.zero_stage = arguments.stage;
  Learner learner(arguments.model, arguments.model, options, {},
                  arguments.together ? group : Group::alone(), parallel);
  for (int64_t step = 1;; ++step) {
    std::string line;
    const bool asked = rank != 0 || static_cast<bool>(std::getline(std::cin, line));
    if (group.gather_bytes(asked ? "go" : "end")[0] == "end") return 0;
    const auto start = Clock::now();
    train_step(learner, arguments.tokens, step);
    group.barrier();
    if (rank == 0) std::cout << seconds_since(start) << std::endl;
  }
}

int program(int argc, char** argv) {
  if (argc < 5) throw Error("expected MODEL TOKENS PORT together STAGE, or apart");
  const bool together = std::string(argv[4]) == "together";
  const Arguments arguments{argv[1], std::atoll(argv[2]), std::atoi(argv[3]), together,
                            together ? std::atoll(argv[5]) : 0};
  const pid_t child = ::fork();  // before any thread
  if (child == 0) ::_exit(run_rank(1, arguments));
  const int code = run_rank(0, arguments);
  ::waitpid(child, nullptr, 0);
  return code;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::program); }
