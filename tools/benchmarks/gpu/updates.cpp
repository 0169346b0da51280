// Training updates on a GPU: forward, backward, the gradient's norm and AdamW of all weights, bf16
// with fp32 master weights.
//   caprl-bench-updates MODEL [DEVICE]    a model directory, or a preset of caprl init: random
//                                         weights; DEVICE cpu: fp32, to try the program
// Every line on stdin asks for one thing and is answered with one line of JSON:
//   group GROUPS PREFIX SAMPLES TOKENS    groups of SAMPLES samples after one prefix, of text
//   unrolled GROUPS PREFIX SAMPLES TOKENS the same, every sample with a prefix of its own
//     {"seconds" of one update, "tokens", "logical_tokens": a prefix counted for every sample,
//     "operations", "planned_bytes": as caprl train --dry-run plans them, "peak_bytes": as the
//     allocator counted them, "loss", "grad_norm"}, or {"too_large": why}. An update before warms
//     up, unless the request is the last one again.
//   trace FILE                            the next one of these to FILE, as Chrome's JSON
#include <ATen/DeviceAccelerator.h>
#include <fmt/format.h>

#include <cmath>
#include <sstream>

#include "caprl/train/memory_plan.h"
#include "tools/benchmarks/gpu/json_program.h"
#include "tools/benchmarks/round_program.h"
#include "tools/benchmarks/training_work.h"
#include "train/memory_use.h"

namespace caprl {
namespace {

using nlohmann::json;

constexpr StepSizes kSizes{.micro_tokens = 11000, .loss_chunk_tokens = 2048};

int64_t num_tokens(const GroupWork& work) { return work.prefixes() * work.prefix + work.scored(); }

/// The model's, forward and backward; what is computed again does not count. Every token is
/// multiplied with the trunk, every scored one with the head, and every query with the keys and
/// values that it sees, in each layer.
double operations(const ModelSize& size, const GroupWork& work) {
  const auto prefixes = static_cast<double>(work.prefixes());
  const auto prefix = static_cast<double>(work.prefix);
  const auto scored = static_cast<double>(work.scored());
  const double seen_by_prefixes = prefixes * prefix * (prefix + 1) / 2;
  const double seen_by_samples = scored * (prefix + (static_cast<double>(work.tokens) + 1) / 2);
  return 6 * size.trunk * static_cast<double>(num_tokens(work)) +
         6 * size.vocab * size.hidden * scored +
         3 * 4 * size.attention * size.layers * (seen_by_prefixes + seen_by_samples);
}

double planned_bytes(const ModelSize& size, const GroupWork& work, const Model& model) {
  const at::Tensor weights = model.parameters().trainable_buffer();
  StepPlan plan;
  plan.policy = size;
  plan.images = static_cast<double>(work.prefixes());
  plan.group = static_cast<double>(work.unrolled ? 1 : work.samples);
  plan.lengths.prompt = static_cast<double>(work.prefix);
  plan.lengths.image = 0;
  plan.lengths.completion = plan.lengths.longest_completion = static_cast<double>(work.tokens);
  plan.lengths.spread = 0;
  plan.micro_tokens = static_cast<double>(kSizes.micro_tokens);
  plan.loss_chunk_tokens = static_cast<double>(kSizes.loss_chunk_tokens);
  plan.weight_bytes = static_cast<double>(weights.itemsize());
  plan.on_gpu = !weights.is_cpu();
  return memory_by_phase(plan, 1).back().total();
}

class Updates {
 public:
  Updates(const std::string& model, at::Device device)
      : device_(device),
        size_(model_size(describe_model(model_config(model), model))),
        learner_({},
                 make_model(model, {.dtype = device.is_cpu() ? at::kFloat : at::kBFloat16,
                                    .device = device,
                                    .train = TrainedParts::kAll}),
                 {}, Group::alone(), {}) {}

  json answer(const std::string& request) {
    const GroupWork work = parse(request);
    const double planned = planned_bytes(size_, work, learner_.model());
    const auto memory = static_cast<double>(memory_use(device_).gpu_all);
    if (memory > 0 && planned > memory)
      return {{"too_large", fmt::format("{:.0f} GB are needed, the GPU has {:.0f}", planned / 1e9,
                                        memory / 1e9)}};
    // Beyond them are the tokens that a vocabulary keeps for itself.
    const int64_t words = std::min<int64_t>(40000, learner_.model().traits().vocab_size - 200);
    const auto sequences = group_sequences(work, words);
    if (std::exchange(last_, request) != request) update(sequences);
    const PeakMemory peak(device_);
    const auto start = Clock::now();
    const StepResult result = update(sequences);
    json reply{{"seconds", seconds_since(start)},
               {"tokens", num_tokens(work)},
               {"logical_tokens", work.groups * work.samples * (work.prefix + work.tokens)},
               {"operations", operations(size_, work)},
               {"planned_bytes", planned},
               {"loss", result.loss},
               {"grad_norm", result.grad_norm}};
    Metrics counted;
    peak.add_to(counted);
    for (const auto& [name, gigabytes] : counted) reply["peak_bytes"] = 1e9 * gigabytes;
    return reply;
  }

 private:
  static GroupWork parse(const std::string& request) {
    std::istringstream words(request);
    std::string verb;
    GroupWork work;
    words >> verb >> work.groups >> work.prefix >> work.samples >> work.tokens;
    work.unrolled = verb == "unrolled";
    const int64_t least = std::min({work.groups, work.prefix, work.samples, work.tokens});
    if (!words || (verb != "group" && verb != "unrolled") || least < 1)
      throw InputError("cannot do \"{}\"", request);
    return work;
  }

  /// The device has nothing left to do afterwards.
  StepResult update(std::span<const ScoredSequence> sequences) {
    const StepResult result = train_step(learner_, sequences, ++steps_, kSizes);
    if (!std::isfinite(result.grad_norm)) throw Error("the gradient is not finite");
    if (!device_.is_cpu()) at::accelerator::synchronizeDevice(device_.index());
    return result;
  }

  at::Device device_;
  ModelSize size_;
  Learner learner_;
  int64_t steps_ = 0;
  std::string last_;  // request
};

int run(int argc, char** argv) {
  const std::string device = argc == 3 ? argv[2] : "cuda";
  if (argc < 2 || argc > 3 || std::string_view(argv[1]) == "--help" ||
      (device != "cuda" && device != "cpu")) {
    std::cout << "usage: caprl-bench-updates MODEL [cuda|cpu]\n";
    return argc == 2 ? 0 : 2;
  }
  Updates updates(argv[1], device == "cpu" ? at::Device(at::kCPU) : at::Device(at::kCUDA, 0));
  answer_lines([&](const std::string& request) { return updates.answer(request); });
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) {
  return caprl::run_json_program("caprl-bench-updates", argc, argv, caprl::run);
}
