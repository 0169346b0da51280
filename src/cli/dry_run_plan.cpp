#include "cli/dry_run_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "caprl/core/error.h"
#include "caprl/core/memory.h"
#include "caprl/io/json.h"
#include "caprl/train/config.h"
#include "cli/machine_probe.h"
#include "cli/units.h"

namespace caprl {
namespace {

constexpr int64_t kProbedTokens = 2048;

std::string describe(const FittingPlan& fitting) {
  std::string text = fmt::format(
      "\n{}", fitting.ranks == 1 ? "with" : fmt::format("with {} ranks", fitting.ranks));
  for (const std::string& setting : fitting.settings) text += " --set " + setting;
  return text + fmt::format(" ({:.1f} GB)", fitting.bytes / 1e9);
}

std::string list_parts(const PhaseMemory& phase) {
  std::string text;
  for (const MemoryPart& part : phase.parts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", part.what, bytes_text(part.bytes));
  return text;
}

}  // namespace

ModelDescription describe_files(const std::string& model_dir, TrainedParts parts,
                                const LoraConfig& lora) {
  if (model_dir.empty()) return {};
  const std::filesystem::path file = std::filesystem::path(model_dir) / "config.json";
  return describe_model(read_json(file), file.string(), parts, lora);
}

MachineSpeeds speeds(const CheckedRun& run, const DryRunOptions& options, const StepPlan& plan,
                     const Launch& launch) {
  if (!options.is_this()) return machine_speeds(options.machine);
  return measure_machine(choose_device(run.run.device, launch.local_rank),
                         parse_dtype(run.policy.dtype, "config: 'policy.dtype'"),
                         std::min(static_cast<int64_t>(plan.micro_tokens), kProbedTokens),
                         static_cast<int64_t>(plan.policy.hidden), launch.local_world_size);
}

void place(StepPlan& plan, const CheckedRun& run, const DryRunOptions& options,
           const MachineSpeeds& machine, const Launch& launch) {
  plan.on_gpu = !options.is_this() || !choose_device(run.run.device, launch.local_rank).is_cpu();
  plan.device_memory = machine.memory;
}

std::string check_memory(const StepPlan& plan, const MachineSpeeds& machine, int64_t ranks) {
  const auto phases = memory_by_phase(plan, ranks);
  const PhaseMemory most = *std::ranges::max_element(phases, {}, &PhaseMemory::total);
  const double peak = most.total();
  const std::string what = fmt::format("a rank needs {:.1f} GB of {:.1f} GB, most in phase {}",
                                       peak / 1e9, machine.memory / 1e9, most.phase);
  if (peak <= machine.memory) return what;
  std::string advice;
  if (const auto fitting = fit_by_settings(plan, machine.memory, ranks))
    advice += describe(*fitting);
  if (const auto fitting = fit_by_ranks(plan, machine.memory, ranks)) advice += describe(*fitting);
  if (advice.empty()) throw InputError("{}; a smaller model is needed", what);
  throw InputError("{}; it fits{}", what, advice);
}

void print_machine(const DryRunOptions& options, const MachineSpeeds& machine,
                   const TypicalLengths& lengths, const char* completions) {
  std::cout << fmt::format(
      "\nPredicted for {}: {:.3g} of {:.3g} TFLOP/s reached, {:.3g} GB/s; prompts of {:.0f} "
      "tokens, "
      "{} of {:.0f}, at most {:.0f}.\nAn estimate (docs/SCALING.md), not a measurement.\n",
      options.is_this() ? "this machine" : options.machine,
      machine.flops * machine.product_share / 1e12, machine.flops / 1e12,
      machine.memory_bandwidth / 1e9, lengths.prompt, completions, lengths.completion,
      lengths.longest_completion);
}

void print_memory(const std::vector<PhaseMemory>& phases, const StepPlan& plan, int64_t ranks) {
  std::cout << fmt::format("\nMemory of each of {} ranks (GB):\n", ranks)
            << "  phase    weights  gradients  optimizer  phase's own     total\n";
  for (const PhaseMemory& phase : phases)
    std::cout << fmt::format("  {:<7} {:>8.2f} {:>10.2f} {:>10.2f} {:>12.2f} {:>9.2f}  {}\n",
                             phase.phase, phase.weights / 1e9, phase.gradients / 1e9,
                             phase.optimizer / 1e9, phase.working / 1e9, phase.total() / 1e9,
                             list_parts(phase));
  if (!plan.on_gpu)  // what an operating system shows of a run is the sum
    std::cout << fmt::format("Beside that the process itself, with libraries and rows: {}.\n",
                             bytes_text(static_cast<double>(resident_memory_bytes())));
}

void dry_run(const CheckedRun& run, const std::string& resume, const DryRunOptions& options,
             const std::function<void(Checklist&)>& more,
             const std::function<void(const DryRun&)>& predict) {
  if (!options.is_this()) machine_speeds(options.machine);  // known?
  const Launch launch = read_launch();
  if (launch.rank != 0) return;
  const int64_t ranks = options.ranks > 0 ? options.ranks : launch.world_size;
  Checklist checks;
  DryRunChecks found(run);
  std::cout << "Checks:\n";
  checks.check("run", [&] { return found.run_folder(resume); });
  checks.check("policy", [&] { return found.policy(); });
  more(checks);
  checks.check("data", [&] { return found.train_data(); });
  if (run.rows == RowKind::kCaption && !run.data.val_files.empty())
    checks.check("held out", [&] { return found.held_out_data(); });
  checks.check("disk", [&] { return found.disk(); });
  const bool usable = checks.check(
      "device", [&] { return found.device(launch.local_rank, static_cast<int>(ranks)); });
  if (usable || !options.is_this()) {
    try {
      predict({run, options, found, launch, checks, ranks});
    } catch (const InputError& error) {
      checks.fail("plan", error.what());
    }
  }
  std::cout << std::flush;  // before the error
  if (!checks.all_passed()) throw InputError("training would not start: {}", checks.failures());
  std::cout << "\nTraining would start.\n";
}

}  // namespace caprl
