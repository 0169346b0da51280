#include "cli/dry_run.h"

#include <fmt/format.h>

#include "caprl/core/progress.h"
#include "cli/dry_run_plan.h"
#include "cli/units.h"

namespace caprl {
namespace {

constexpr int64_t kMostRanks = 1024;

OtherModels other_models(const GrpoConfig& config) {
  OtherModels others;
  if (config.algorithm.use_kl_loss && !config.reference.model.empty())
    others.reference = describe_files(config.reference.model);
  for (const RewardTerm* term : config.reward.terms.active())
    if (const auto loaded = term->model()) others.judge = describe_files(loaded->dir);
  return others;
}

/// A row of a table; `speed`: a rank's beside that of one alone with as many
/// images.
void print_row(const StepPlan& plan, const MachineSpeeds& machine, int64_t ranks) {
  StepPlan alone = plan;
  alone.images = plan.images / static_cast<double>(ranks);
  const StepTime time = predict_step(plan, machine, ranks);
  const double memory = peak_memory(plan, ranks);
  std::cout << fmt::format(
      "{:>6} {:>7.0f} {:>9.1f} {:>8.1f} {:>8.1f} {:>9.2f} {:>8.2f} {:>8.1f} "
      "{:>7.1f} % "
      "{:>8.1f}{}\n",
      ranks, plan.images, time.rollout, time.reward, time.update, time.collectives, time.waiting,
      time.total(), 100 * predict_step(alone, machine, 1).total() / time.total(), memory / 1e9,
      memory > machine.memory ? "  does not fit" : "");
}

void print_table(const StepPlan& plan, const MachineSpeeds& machine, bool grows) {
  std::cout << " ranks  images   rollout   reward   update  collect.  waiting  "
               "  total     speed"
               "  GB/rank\n";
  StepPlan at = plan;
  for (int64_t ranks = 1; ranks <= kMostRanks; ranks *= 2) {
    if (grows)
      at.images =
          plan.images / static_cast<double>(machine.devices_per_node) * static_cast<double>(ranks);
    if (at.images >= static_cast<double>(ranks)) print_row(at, machine, ranks);
  }
}

void print_scaling(const StepPlan& plan, const MachineSpeeds& machine) {
  std::cout << "\nThis batch on other numbers of devices (seconds):\n";
  print_table(plan, machine, false);
  std::cout << fmt::format("\nA batch that grows, {:g} images a rank:\n",
                           plan.images / static_cast<double>(machine.devices_per_node));
  print_table(plan, machine, true);
}

int64_t evaluations(const GrpoConfig& config) {
  if (config.eval.freq == 0) return 0;
  return 1 + (config.train.total_steps + config.eval.freq - 1) / config.eval.freq;
}

void print_duration(const GrpoConfig& config, const StepPlan& plan, const MachineSpeeds& machine,
                    int64_t ranks, int64_t held_out) {
  const StepTime time = predict_step(plan, machine, ranks);
  StepPlan evaluation = plan;
  evaluation.images = static_cast<double>(held_out);
  evaluation.group = static_cast<double>(config.eval.n);
  const int64_t count = held_out > 0 ? evaluations(config) : 0;
  const StepTime of_one = count > 0 ? predict_step(evaluation, machine, ranks) : StepTime{};
  const double evaluating = static_cast<double>(count) * (of_one.rollout + of_one.reward);
  const double steps = static_cast<double>(config.train.total_steps) * time.total();
  std::cout << fmt::format(
      "\nA step: {:.2f} s (captions {:.2f}, answers {:.2f}, update {:.2f}, "
      "collectives {:.2f}, "
      "waiting {:.2f})\n{} steps: {}; {} evaluations: {}; in all {} "
      "(hours:minutes:seconds)\n",
      time.total(), time.rollout, time.reward, time.update, time.collectives, time.waiting,
      count_text(config.train.total_steps), duration_text(steps), count, duration_text(evaluating),
      duration_text(steps + evaluating));
}

TypicalLengths lengths_of(const DryRunOptions& options, const DataFacts& data) {
  TypicalLengths lengths = options.lengths;
  if (data.rows > 0) {
    lengths.prompt = data.prompt_tokens;
    lengths.image = data.image_tokens;
  }
  if (options.prompt_tokens > 0) lengths.prompt = options.prompt_tokens;
  if (options.image_tokens > 0) lengths.image = options.image_tokens;
  return lengths;
}

void predict(const GrpoConfig& config, const DryRun& dry) {
  StepPlan plan = step_plan(
      config, describe_files(config.policy.model, config.policy.train, config.policy.lora),
      describe_files(config.reward.answerer.model), lengths_of(dry.options, dry.found.train()),
      other_models(config));
  const MachineSpeeds machine = speeds(dry.run, dry.options, plan, dry.launch);
  place(plan, dry.run, dry.options, machine, dry.launch);
  dry.checks.check("memory", [&] { return check_memory(plan, machine, dry.ranks); });
  print_machine(dry.options, machine, plan.lengths, "captions");
  print_memory(memory_by_phase(plan, dry.ranks), plan, dry.ranks);
  const double longest = peak_memory(with_longest_captions(plan), dry.ranks);
  if (longest > peak_memory(plan, dry.ranks))
    std::cout << fmt::format(
        "Were all captions of an image {:.0f} tokens long (rollout.response_length): {:.1f} GB.\n",
        plan.response_length, longest / 1e9);
  print_duration(config, plan, machine, dry.ranks, dry.found.held_out().rows);
  if (plan.on_gpu) print_scaling(plan, machine);
}

using AddLength = std::function<CLI::Option*(const char*, double&, const char*)>;

/// `add_lengths` adds those of the command's own.
std::shared_ptr<DryRunOptions> add_options(
    CLI::App& command,
    const std::function<void(DryRunOptions& options, const AddLength& add)>& add_lengths) {
  auto options = std::make_shared<DryRunOptions>();
  command.add_flag("--dry-run", options->wanted,
                   "train nothing: check config, models, every row, disk and devices, and predict "
                   "time and memory; exit code 0 only if training would start");
  const auto group = command.add_option_group("of --dry-run");
  group
      ->add_option("--machine", options->machine,
                   "this, or one that is not at hand: h100, h200 or a100")
      ->capture_default_str();
  group->add_option("--ranks", options->ranks, "devices to predict for; default: this launch's")
      ->check(CLI::Range(int64_t{1}, kMostRanks));
  const AddLength add = [&](const char* name, double& value, const char* what) {
    return group->add_option(name, value, what)->check(CLI::PositiveNumber);
  };
  add("--prompt-tokens", options->prompt_tokens, "of an image's prompt; default: the data's");
  add("--image-tokens", options->image_tokens, "of these, the image's; default: the data's");
  add_lengths(*options, add);
  return options;
}

}  // namespace

std::shared_ptr<DryRunOptions> add_dry_run_options(CLI::App& command) {
  return add_options(command, [](DryRunOptions& options, const AddLength& add) {
    TypicalLengths& lengths = options.lengths;
    add("--completion-tokens", lengths.completion, "of a caption on average")
        ->capture_default_str();
    add("--longest-completion", lengths.longest_completion, "tokens of the longest caption")
        ->capture_default_str();
    add("--question-tokens", lengths.question, "of a question with its options")
        ->capture_default_str();
  });
}

std::shared_ptr<DryRunOptions> add_sft_dry_run_options(CLI::App& command) {
  return add_options(command, [](DryRunOptions& options, const AddLength& add) {
    add("--response-tokens", options.response_tokens, "of a response; default: the data's");
  });
}

void check_start(const GrpoConfig& config, const std::string& resume,
                 const DryRunOptions& options) {
  const CheckedRun run{
      config.run,       config.policy, config.data, config.checkpoint, config.train.total_steps,
      RowKind::kCaption};
  const auto models = [&](Checklist& checks) {
    if (config.algorithm.use_kl_loss)
      checks.check("reference", [&] { return check_reference(config); });
    checks.check("reward", [&] { return check_reward(config); });
  };
  dry_run(run, resume, options, models, [&](const DryRun& dry) { predict(config, dry); });
}

}  // namespace caprl
