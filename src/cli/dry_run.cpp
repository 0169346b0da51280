#include "cli/dry_run.h"

#include <fmt/format.h>

#include "caprl/io/json.h"

namespace caprl {
namespace {

constexpr int64_t kMostRanks = 1024;

ModelDescription describe(const std::string& model_dir, TrainedParts parts = TrainedParts::kNone,
                          const LoraConfig& lora = {}) {
  const std::filesystem::path file = std::filesystem::path(model_dir) / "config.json";
  return describe_model(read_json(file), file.string(), parts, lora);
}

/// A row of a table; `speed`: a rank's beside that of one alone with as many images.
void print_row(const StepPlan& plan, const MachineSpeeds& machine, int64_t ranks) {
  StepPlan alone = plan;
  alone.images = plan.images / static_cast<double>(ranks);
  const StepTime time = predict_step(plan, machine, ranks);
  const RankMemory memory = predict_memory(plan, ranks);
  std::cout << fmt::format(
      "{:>6} {:>7.0f} {:>9.1f} {:>8.1f} {:>8.1f} {:>9.2f} {:>8.2f} {:>8.1f} {:>7.1f} % "
      "{:>8.1f}{}\n",
      ranks, plan.images, time.rollout, time.reward, time.update, time.collectives, time.waiting,
      time.total(), 100 * predict_step(alone, machine, 1).total() / time.total(),
      memory.total() / 1e9, memory.total() > machine.memory ? "  does not fit" : "");
}

void print_table(const StepPlan& plan, const MachineSpeeds& machine, bool grows) {
  std::cout << " ranks  images   rollout   reward   update  collect.  waiting    total     speed"
               "  GB/rank\n";
  StepPlan at = plan;
  for (int64_t ranks = 1; ranks <= kMostRanks; ranks *= 2) {
    if (grows)
      at.images =
          plan.images / static_cast<double>(machine.devices_per_node) * static_cast<double>(ranks);
    if (at.images >= static_cast<double>(ranks)) print_row(at, machine, ranks);
  }
}

}  // namespace

std::shared_ptr<DryRunOptions> add_dry_run_options(CLI::App& command) {
  auto options = std::make_shared<DryRunOptions>();
  TypicalLengths& lengths = options->lengths;
  command.add_flag("--dry-run", options->wanted,
                   "train nothing: print what a step will take and hold, from the models' "
                   "config.json");
  const auto group = command.add_option_group("of --dry-run");
  group->add_option("--machine", options->machine, "h100, h200 or a100")->capture_default_str();
  const auto add = [&](const char* name, double& value, const char* what) {
    group->add_option(name, value, what)->capture_default_str()->check(CLI::PositiveNumber);
  };
  add("--prompt-tokens", lengths.prompt, "of an image's prompt");
  add("--image-tokens", lengths.image, "of these, the image's");
  add("--completion-tokens", lengths.completion, "of a caption on average");
  add("--longest-completion", lengths.longest_completion, "tokens of the longest caption");
  add("--question-tokens", lengths.question, "of a question with its options");
  return options;
}

void print_dry_run(const GrpoConfig& config, const DryRunOptions& options) {
  const MachineSpeeds machine = machine_speeds(options.machine);
  const StepPlan plan =
      step_plan(config, describe(config.policy.model, config.policy.train, config.policy.lora),
                describe(config.reward.answerer.model), options.lengths);
  std::cout << fmt::format(
      "Seconds of a step on {}: {:.0f} reached of {:.0f} TFLOP/s; prompts of {:.0f} tokens, "
      "captions of {:.0f}, at most {:.0f}.\nAn estimate (docs/SCALING.md), not a measurement.\n\n",
      options.machine, machine.flops * machine.product_share / 1e12, machine.flops / 1e12,
      plan.lengths.prompt, plan.lengths.completion, plan.lengths.longest_completion);
  std::cout << "This batch:\n";
  print_table(plan, machine, false);
  std::cout << fmt::format("\nA batch that grows, {:g} images a rank:\n",
                           plan.images / static_cast<double>(machine.devices_per_node));
  print_table(plan, machine, true);
}

}  // namespace caprl
