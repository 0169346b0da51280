#include <fmt/format.h>

#include <iostream>

#include "caprl/core/progress.h"
#include "cli/dry_run_plan.h"
#include "cli/units.h"

namespace caprl {
namespace {

TypicalLengths lengths_of(const DryRunOptions& options, const DataFacts& data) {
  const auto known = [](double wanted, double found) { return wanted > 0 ? wanted : found; };
  TypicalLengths lengths;
  lengths.prompt = known(options.prompt_tokens, data.prompt_tokens);
  lengths.image = known(options.image_tokens, data.image_tokens);
  lengths.completion = known(options.response_tokens, data.response_tokens);
  lengths.longest_completion =
      std::max(lengths.completion, static_cast<double>(data.longest_response));
  if (lengths.prompt + lengths.completion == 0)
    throw InputError("no row to plan with; name --prompt-tokens and --response-tokens");
  return lengths;
}

void predict(const SftConfig& config, const DryRun& dry) {
  const TypicalLengths lengths = lengths_of(dry.options, dry.found.train());
  StepPlan plan = step_plan(
      config, describe_files(config.policy.model, config.policy.train, config.policy.lora),
      lengths);
  const MachineSpeeds machine = speeds(dry.run, dry.options, plan, dry.launch);
  place(plan, dry.run, dry.options, machine, dry.launch);
  dry.checks.check("memory", [&] { return check_memory(plan, machine, dry.ranks); });
  print_machine(dry.options, machine, lengths, "responses");
  print_memory({memory_by_phase(plan, dry.ranks).back()}, plan, dry.ranks);
  const StepTime time = predict_step(plan, machine, dry.ranks);
  const double step = time.update + time.collectives;
  std::cout << fmt::format(
      "\nA step: {:.2f} s (update {:.2f}, collectives {:.2f})\n{} steps: {} "
      "(hours:minutes:seconds)\n",
      step, time.update, time.collectives, count_text(config.train.total_steps),
      duration_text(static_cast<double>(config.train.total_steps) * step));
}

}  // namespace

void check_start(const SftConfig& config, const std::string& resume, const DryRunOptions& options) {
  const CheckedRun run{
      config.run,   config.policy, config.data, config.checkpoint, config.train.total_steps,
      RowKind::kSft};
  dry_run(
      run, resume, options, [](Checklist&) {}, [&](const DryRun& dry) { predict(config, dry); });
}

}  // namespace caprl
