// `tools/bench scaling`: the step on paper (caprl/train/step_model.h) beside steps of two
// processes.
//   caprl-bench-scaling MODEL TOKENS PORT
// Measures how fast two processes exchange values and what a step of each for itself takes,
// predicts from both what a step together takes, and measures that. A row for each ZeRO stage.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "caprl/train/step_model.h"
#include "round_program.h"
#include "two_ranks.h"

namespace caprl {
namespace {

constexpr int kRounds = 5;

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Median seconds of `work` on all ranks.
template <class Work>
double measure(const Group& group, Work work) {
  work(0);
  std::vector<double> seconds;
  for (int round = 1; round <= kRounds; ++round) {
    group.barrier();
    const auto start = Clock::now();
    work(round);
    group.barrier();
    seconds.push_back(seconds_since(start));
  }
  return median(seconds);
}

/// What this machine's two processes reach; the fields that a step together depends on.
MachineSpeeds measure_links(const Group& group) {
  const at::Tensor whole = at::zeros({32'000'000}), part = at::zeros({16'000'000});
  MachineSpeeds machine{};
  machine.devices_per_node = 2;
  const double seconds = measure(group, [&](int) { group.reduce_scatter(part, whole).wait(); });
  machine.link_in_node = static_cast<double>(part.nbytes()) / seconds;
  const at::Tensor one = at::zeros({2}), half = at::zeros({1});
  machine.link_latency = measure(group, [&](int) { group.reduce_scatter(half, one).wait(); });
  return machine;
}

struct Alone {
  double step, finish, values;
};

Alone measure_alone(const Group& group, const std::string& model, int64_t tokens) {
  Learner learner = make_learner(model, Group::alone(), 0);
  Alone alone{};
  alone.values = static_cast<double>(learner.model().parameters().num_trainable());
  alone.step = measure(group, [&](int round) { train_step(learner, tokens, round + 1); });
  alone.finish = measure(group, [&](int round) {
    learner.begin(0);
    learner.finish(round + 1, 1000000, 3, {});
  });
  return alone;
}

double predict(const Alone& alone, const MachineSpeeds& machine, int64_t stage) {
  const double bytes = 4 * alone.values,
               bucket = 1e6 * static_cast<double>(ParallelConfig().bucket_mb);
  const double backward = (alone.step - alone.finish) * 2 / 3;
  return alone.step - (stage == 0 ? 0 : alone.finish / 2) +
         exposed_seconds(bytes, bucket, backward, 1, stage == 2, machine, 2) +
         ring_seconds(bytes, bytes / bucket, machine, 2);
}

int run_rank(int rank, const std::string& model, int64_t tokens, int port) {
  const Group group = connect_two(rank, port);
  const MachineSpeeds machine = measure_links(group);
  const Alone alone = measure_alone(group, model, tokens);
  for (const int64_t stage : {0, 1, 2}) {
    double together;
    {
      Learner learner = make_learner(model, group, stage);
      together = measure(group, [&](int round) { train_step(learner, tokens, round + 1); });
    }
    const double predicted = predict(alone, machine, stage);
    if (rank == 0)
      std::cout << nlohmann::json({{"zero_stage", stage},
                                   {"link_GB_s", machine.link_in_node / 1e9},
                                   {"alone_s", alone.step},
                                   {"predicted_s", predicted},
                                   {"measured_s", together},
                                   {"measured / predicted", together / predicted}})
                << std::endl;
  }
  return 0;
}

int program(int argc, char** argv) {
  if (argc < 4) throw Error("expected MODEL TOKENS PORT");
  return run_two(
      [&](int rank) { return run_rank(rank, argv[1], std::atoll(argv[2]), std::atoi(argv[3])); });
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::program); }
