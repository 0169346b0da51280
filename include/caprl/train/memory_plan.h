// A rank's memory phase by phase, on paper, and what to change if it is too much.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caprl/train/step_model.h"

namespace caprl {

/// Something that a phase alone holds.
struct MemoryPart {
  std::string what;
  double bytes = 0;
};

/// Bytes that a rank holds in one phase of a step: what tensors have, not what the driver,
/// libraries and an allocator's gaps take beside them.
struct PhaseMemory {
  std::string phase;              // "gen", "reward", "update", as in metrics
  double weights = 0;             // policy, answerer, reference, judge
  double gradients = 0;           // kept through all phases
  double optimizer = 0;           // master weights and moments
  double working = 0;             // the phase's own: keys and values, activations, logits
  std::vector<MemoryPart> parts;  // of `working`, the largest first
  double total() const { return weights + gradients + optimizer + working; }
};
std::vector<PhaseMemory> memory_by_phase(const StepPlan& plan, int64_t ranks);
/// Of the phase with the most.
double peak_memory(const StepPlan& plan, int64_t ranks);
/// The same run with captions that all have plan.response_length tokens: their group is not cut.
StepPlan with_longest_captions(StepPlan plan);

/// A plan that needs no more than it may.
struct FittingPlan {
  std::vector<std::string> settings;  // "train.micro_tokens=8192"
  int64_t ranks = 1;
  double bytes = 0;  // of a rank
};
/// Smaller chunks, in the order in which they cost least speed; as few of them as suffice. None if
/// none suffices, or nothing has to be changed.
std::optional<FittingPlan> fit_by_settings(const StepPlan& plan, double memory, int64_t ranks);
/// The fewest ranks up to 1,024, doubled from `ranks` on and dividing the step's images, that
/// suffice with parallel.zero_stage 2.
std::optional<FittingPlan> fit_by_ranks(const StepPlan& plan, double memory, int64_t ranks);

}  // namespace caprl
