// The caprl side of `tools/bench loss`: the loss head, forward and backward, fp32 on the CPU.
//   caprl-bench-loss-cpu ROWS HIDDEN VOCAB THREADS
// Prints the loss and the norms of its gradients, as peer_loss_cpu.py does. Then every line on
// stdin asks for one round; the answer is its seconds.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <iostream>

#include "caprl/ops/policy_loss.h"
#include "round_program.h"

namespace caprl {
namespace {

struct Problem {
  at::Tensor hidden, weight;
  ops::PolicyLossInput input;
  ops::PolicyLossOptions options;
};

/// The same numbers as the peer's, drawn in the same order from the same seed.
Problem make_problem(int64_t rows, int64_t hidden, int64_t vocab) {
  constexpr double kLogitDeviation = 4;
  at::manual_seed(1);
  Problem problem;
  problem.weight =
      at::randn({vocab, hidden}).mul_(kLogitDeviation / std::sqrt(static_cast<double>(hidden)));
  problem.hidden = at::randn({rows, hidden});
  problem.input.targets = at::randint(vocab, {rows}, at::kLong);
  problem.input.advantages = at::randn({rows});
  problem.input.weights = at::full({rows}, 1.0 / static_cast<double>(rows));
  problem.input.reference_logprobs =
      ops::token_logprobs(problem.hidden, problem.weight, problem.input.targets, 1.0) +
      0.1 * at::randn({rows});
  problem.options.kl = ops::KlEstimator::kK3;
  problem.options.kl_coef = 0.04;
  problem.options.clip_ratio_c = 0;
  problem.hidden.requires_grad_();
  problem.weight.requires_grad_();
  return problem;
}

/// Gradients are added up, as in training.
at::Tensor one_round(Problem& problem) {
  const auto result =
      ops::policy_loss(problem.hidden, problem.weight, problem.input, problem.options);
  result.loss.backward();
  return result.loss;
}

int bench(int argc, char** argv) {
  if (argc != 5) throw InputError("usage: caprl-bench-loss-cpu ROWS HIDDEN VOCAB THREADS");
  at::set_num_threads(std::stoi(argv[4]));
  Problem problem = make_problem(std::stoll(argv[1]), std::stoll(argv[2]), std::stoll(argv[3]));
  const double loss = one_round(problem).item<double>();
  std::cout << loss << " " << problem.hidden.grad().norm().item<double>() << " "
            << problem.weight.grad().norm().item<double>() << std::endl;
  answer_rounds([&] { one_round(problem); });
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::bench); }
