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
void print_memory(const std::vector<PhaseMemory>& phases, int64_t ranks);

/// The last check, the prediction if there is a machine for it, and the verdict: InputError if
/// training would not start.
void conclude(Checklist& checks, const DryRunChecks& found, const DryRunOptions& options,
              const Launch& launch, const std::function<void(int64_t ranks)>& predict);

}  // namespace caprl
