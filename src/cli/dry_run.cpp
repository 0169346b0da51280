#include "cli/dry_run.h"

#include <fmt/format.h>

#include "caprl/core/progress.h"
#include "caprl/dist/launch.h"
#include "caprl/io/json.h"
#include "caprl/train/memory_plan.h"
#include "cli/checklist.h"
#include "cli/dry_run_checks.h"
#include "cli/machine_probe.h"
#include "cli/units.h"

namespace caprl {
namespace {

constexpr int64_t kMostRanks = 1024;
constexpr int64_t kProbedTokens = 2048;

/// Of the config.json alone; nothing of an empty name.
ModelDescription describe(const std::string& model_dir, TrainedParts parts = TrainedParts::kNone,
                          const LoraConfig& lora = {}) {
  if (model_dir.empty()) return {};
  const std::filesystem::path file = std::filesystem::path(model_dir) / "config.json";
  return describe_model(read_json(file), file.string(), parts, lora);
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

void print_memory(const StepPlan& plan, int64_t ranks) {
  std::cout << fmt::format("\nMemory of each of {} ranks (GB):\n", ranks)
            << "  phase    weights  gradients  optimizer  phase's own     total\n";
  for (const PhaseMemory& phase : memory_by_phase(plan, ranks))
    std::cout << fmt::format("  {:<7} {:>8.2f} {:>10.2f} {:>10.2f} {:>12.2f} {:>9.2f}\n",
                             phase.phase, phase.weights / 1e9, phase.gradients / 1e9,
                             phase.optimizer / 1e9, phase.working / 1e9, phase.total() / 1e9);
}

std::string describe(const FittingPlan& fitting) {
  std::string text = fmt::format(
      "\n{}", fitting.ranks == 1 ? "with" : fmt::format("with {} ranks", fitting.ranks));
  for (const std::string& setting : fitting.settings) text += " --set " + setting;
  return text + fmt::format(" ({:.1f} GB)", fitting.bytes / 1e9);
}

std::string check_memory(const StepPlan& plan, const MachineSpeeds& machine, int64_t ranks) {
  const double peak = peak_memory(plan, ranks);
  const std::string what =
      fmt::format("a rank needs about {:.1f} GB of {:.1f} GB", peak / 1e9, machine.memory / 1e9);
  if (peak <= machine.memory) return what;
  std::string advice;
  if (const auto fitting = fit_by_settings(plan, machine.memory, ranks))
    advice += describe(*fitting);
  if (const auto fitting = fit_by_ranks(plan, machine.memory, ranks)) advice += describe(*fitting);
  if (advice.empty()) throw InputError("{}; a smaller model is needed", what);
  throw InputError("{}; it fits{}", what, advice);
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

bool is_this(const DryRunOptions& options) { return options.machine == "this"; }

MachineSpeeds speeds(const GrpoConfig& config, const DryRunOptions& options, const StepPlan& plan,
                     const Launch& launch) {
  if (!is_this(options)) return machine_speeds(options.machine);
  const auto hidden = static_cast<int64_t>(plan.policy.hidden);
  return measure_machine(choose_device(config.run.device, launch.local_rank),
                         parse_dtype(config.policy.dtype, "config: 'policy.dtype'"),
                         std::min(config.train.micro_tokens, kProbedTokens), hidden,
                         launch.local_world_size);
}

void predict(const GrpoConfig& config, const DryRunOptions& options, const DryRunChecks& found,
             const Launch& launch, Checklist& checks) {
  const int64_t ranks = options.ranks > 0 ? options.ranks : launch.world_size;
  const StepPlan plan =
      step_plan(config, describe(config.policy.model, config.policy.train, config.policy.lora),
                describe(config.reward.answerer.model), lengths_of(options, found.train()));
  const MachineSpeeds machine = speeds(config, options, plan, launch);
  checks.check("memory", [&] { return check_memory(plan, machine, ranks); });
  std::cout << fmt::format(
      "\nPredicted for {}: {:.3g} of {:.3g} TFLOP/s "
      "reached, {:.3g} GB/s; prompts of {:.0f} "
      "tokens, captions of {:.0f}, at most {:.0f}.\nAn "
      "estimate (docs/SCALING.md), not a "
      "measurement.\n",
      is_this(options) ? "this machine" : options.machine,
      machine.flops * machine.product_share / 1e12, machine.flops / 1e12,
      machine.memory_bandwidth / 1e9, plan.lengths.prompt, plan.lengths.completion,
      plan.lengths.longest_completion);
  print_memory(plan, ranks);
  print_duration(config, plan, machine, ranks, found.held_out().rows);
  const bool gpu =
      !is_this(options) || !choose_device(config.run.device, launch.local_rank).is_cpu();
  if (gpu) print_scaling(plan, machine);
}

}  // namespace

std::shared_ptr<DryRunOptions> add_dry_run_options(CLI::App& command) {
  auto options = std::make_shared<DryRunOptions>();
  TypicalLengths& lengths = options->lengths;
  command.add_flag("--dry-run", options->wanted,
                   "train nothing: check config, models, every row, disk and "
                   "devices, and predict "
                   "time and memory; exit code 0 only if training would start");
  const auto group = command.add_option_group("of --dry-run");
  group
      ->add_option("--machine", options->machine,
                   "this, or one that is not at hand: h100, h200 or a100")
      ->capture_default_str();
  group->add_option("--ranks", options->ranks, "devices to predict for; default: this launch's")
      ->check(CLI::Range(int64_t{1}, kMostRanks));
  const auto add = [&](const char* name, double& value, const char* what) {
    return group->add_option(name, value, what)->check(CLI::PositiveNumber);
  };
  add("--prompt-tokens", options->prompt_tokens, "of an image's prompt; default: the data's");
  add("--image-tokens", options->image_tokens, "of these, the image's; default: the data's");
  add("--completion-tokens", lengths.completion, "of a caption on average")->capture_default_str();
  add("--longest-completion", lengths.longest_completion, "tokens of the longest caption")
      ->capture_default_str();
  add("--question-tokens", lengths.question, "of a question with its options")
      ->capture_default_str();
  return options;
}

void check_start(const GrpoConfig& config, const std::string& resume,
                 const DryRunOptions& options) {
  if (!is_this(options)) machine_speeds(options.machine);  // known?
  const Launch launch = read_launch();
  if (launch.rank != 0) return;
  Checklist checks;
  DryRunChecks found(config);
  std::cout << "Checks:\n";
  checks.check("run", [&] { return found.run_folder(resume); });
  checks.check("policy", [&] { return found.policy(); });
  if (config.algorithm.use_kl_loss) checks.check("reference", [&] { return found.reference(); });
  checks.check("reward", [&] { return found.reward(); });
  checks.check("data", [&] { return found.train_data(); });
  if (!config.data.val_files.empty())
    checks.check("held out", [&] { return found.held_out_data(); });
  checks.check("disk", [&] { return found.disk(); });
  const int ranks = options.ranks > 0 ? static_cast<int>(options.ranks) : launch.world_size;
  const bool usable =
      checks.check("device", [&] { return found.device(launch.local_rank, ranks); });
  if (usable || !is_this(options)) {
    try {
      predict(config, options, found, launch, checks);
    } catch (const InputError& error) {
      checks.fail("plan", error.what());
    }
  }
  std::cout << std::flush;  // before the error
  if (!checks.all_passed()) throw InputError("training would not start: {}", checks.failures());
  std::cout << "\nTraining would start.\n";
}

}  // namespace caprl
