// `tools/bench parallel`: what two processes pay for training one model.
//   caprl-bench-parallel MODEL TOKENS PORT together STAGE|apart
// Two processes make steps of the same size at the same time: together, with their gradients summed
// and their weights exchanged, or each for itself. Every line on stdin asks for one step; the
// answer is its seconds.
#include "round_program.h"
#include "two_ranks.h"

namespace caprl {
namespace {

struct Arguments {
  std::string model;
  int64_t tokens;
  int port;
  bool together;
  int64_t stage;
};

int run_rank(int rank, const Arguments& arguments) {
  const Group group = connect_two(rank, arguments.port);
  Learner learner =
      make_learner(arguments.model, arguments.together ? group : Group::alone(), arguments.stage);
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
  return run_two([&](int rank) { return run_rank(rank, arguments); });
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::program); }
