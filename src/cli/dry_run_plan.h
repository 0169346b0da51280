// What `--dry-run` predicts from, and how it says it, of both kinds of training.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "caprl/dist/launch.h"
#include "caprl/train/memory_plan.h"
#include "caprl/train/step_model.h"
#include "cli/checklist.h"
#include "cli/dry_run.h"
#include "cli/dry_run_checks.h"

namespace caprl {

/// Of the config.json alone; nothing of an empty name.
ModelDescription describe_files(const std::string& model_dir,
                                TrainedParts parts = TrainedParts::kNone,
                                const LoraConfig& lora = {});

/// The named machine's, or measured.
MachineSpeeds speeds(const CheckedRun& run, const DryRunOptions& options, const StepPlan& plan,
                     const Launch& launch);

/// Puts the plan on the device that it is for.
void place(StepPlan& plan, const CheckedRun& run, const DryRunOptions& options,
           const MachineSpeeds& machine, const Launch& launch);

/// InputError, with what makes it fit, if a rank needs more than there is.
std::string check_memory(const StepPlan& plan, const MachineSpeeds& machine, int64_t ranks);

/// `completions`: "captions", "responses".
void print_machine(const DryRunOptions& options, const MachineSpeeds& machine,
                   const TypicalLengths& lengths, const char* completions);
/// What tensors have, and on a CPU this process's own, too.
void print_memory(const std::vector<PhaseMemory>& phases, const StepPlan& plan, int64_t ranks);

/// A dry run that has got as far as the prediction.
struct DryRun {
  const CheckedRun& run;
  const DryRunOptions& options;
  const DryRunChecks& found;
  const Launch& launch;
  Checklist& checks;
  int64_t ranks;
};

/// On rank 0: all checks, `more` after the policy's, the prediction if there is a machine for it,
/// and the verdict: InputError if training would not start.
void dry_run(const CheckedRun& run, const std::string& resume, const DryRunOptions& options,
             const std::function<void(Checklist&)>& more,
             const std::function<void(const DryRun&)>& predict);

}  // namespace caprl
