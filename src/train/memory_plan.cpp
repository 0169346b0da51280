#include "caprl/train/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace caprl {
namespace {

constexpr double kLeastMicroTokens = 1024, kLeastChunk = 256, kLeastCacheGb = 1;
constexpr int64_t kMostRanks = 1024;

constexpr size_t kGen = 0, kReward = 1, kUpdate = 2;  // places among the phases

bool exceeds(const StepPlan& plan, size_t phase, double memory, int64_t ranks) {
  return memory_by_phase(plan, ranks)[phase].total() > memory;
}

/// Gives a phase's keys and values, of which `cache` bytes are allowed, the room that there is, in
/// whole GB.
void shrink_cache(StepPlan& plan, size_t phase, double StepPlan::*cache, double memory,
                  int64_t ranks) {
  if (!exceeds(plan, phase, memory, ranks)) return;
  StepPlan none = plan;
  none.*cache = 1;
  const double gb = std::floor((memory - memory_by_phase(none, ranks)[phase].total()) / 1e9);
  if (gb >= kLeastCacheGb) plan.*cache = gb * 1e9;
}

/// False: it is as small as it may be.
bool halve(double& value, double least) {
  if (value / 2 < least) return false;
  value = std::floor(value / 2);
  return true;
}

/// Smaller chunks of logits, where that alone suffices.
void shrink_chunks(StepPlan& plan, double memory, int64_t ranks) {
  StepPlan smaller = plan;
  while (exceeds(smaller, kUpdate, memory, ranks))
    if (!halve(smaller.loss_chunk_tokens, kLeastChunk)) return;
  plan = smaller;
}

std::vector<std::string> changed_settings(const StepPlan& from, const StepPlan& to) {
  std::vector<std::string> settings;
  const auto add = [&](const char* key, double before, double after) {
    if (before != after) settings.push_back(fmt::format("{}={:.0f}", key, after));
  };
  add("train.loss_chunk_tokens", from.loss_chunk_tokens, to.loss_chunk_tokens);
  add("train.micro_tokens", from.micro_tokens, to.micro_tokens);
  add("rollout.kv_cache_gb", from.kv_cache_bytes / 1e9, to.kv_cache_bytes / 1e9);
  add("reward.answerer.kv_cache_gb", from.answerer_kv_cache_bytes / 1e9,
      to.answerer_kv_cache_bytes / 1e9);
  if (from.recompute != to.recompute)
    settings.push_back(fmt::format("train.gradient_checkpointing={}",
                                   to.recompute == ops::Recompute::kMlp ? "mlp" : "full"));
  if (from.offload != to.offload) settings.emplace_back("optimizer.offload=true");
  add("parallel.zero_stage", static_cast<double>(from.zero_stage),
      static_cast<double>(to.zero_stage));
  return settings;
}

}  // namespace

double peak_memory(const StepPlan& plan, int64_t ranks) {
  double peak = 0;
  for (const PhaseMemory& phase : memory_by_phase(plan, ranks))
    peak = std::max(peak, phase.total());
  return peak;
}

StepPlan with_longest_captions(StepPlan plan) {
  TypicalLengths& lengths = plan.lengths;
  if (plan.response_length > 0)
    lengths.completion = lengths.longest_completion = plan.response_length;
  lengths.spread = 0;
  return plan;
}

std::optional<FittingPlan> fit_by_settings(const StepPlan& plan, double memory, int64_t ranks) {
  if (peak_memory(plan, ranks) <= memory) return {};
  StepPlan smaller = plan;
  if (ranks > 1) smaller.zero_stage = 2;
  shrink_cache(smaller, kGen, &StepPlan::kv_cache_bytes, memory, ranks);
  shrink_cache(smaller, kReward, &StepPlan::answerer_kv_cache_bytes, memory, ranks);
  const auto too_much = [&] { return exceeds(smaller, kUpdate, memory, ranks); };
  // A group that is longer is a pass of its own.
  const double group = plan.lengths.prompt + plan.group * plan.lengths.completion;
  const double least = std::max(kLeastMicroTokens, group);
  shrink_chunks(smaller, memory, ranks);
  while (too_much() && halve(smaller.micro_tokens, least)) {
  }
  shrink_chunks(smaller, memory, ranks);
  const auto recompute = [&](ops::Recompute more) {
    if (too_much() && more > smaller.recompute) smaller.recompute = more;
  };
  recompute(ops::Recompute::kMlp);
  if (too_much()) smaller.offload = plan.on_gpu;
  recompute(ops::Recompute::kFull);
  FittingPlan fitting{changed_settings(plan, smaller), ranks, peak_memory(smaller, ranks)};
  if (fitting.bytes > memory || fitting.settings.empty()) return {};
  return fitting;
}

std::optional<FittingPlan> fit_by_ranks(const StepPlan& plan, double memory, int64_t ranks) {
  StepPlan shared = plan;
  shared.zero_stage = 2;
  for (int64_t more = 2 * ranks; more <= kMostRanks; more *= 2) {
    if (std::fmod(plan.images, static_cast<double>(more)) != 0) continue;
    const double bytes = peak_memory(shared, more);
    if (bytes <= memory) return FittingPlan{changed_settings(plan, shared), more, bytes};
  }
  return {};
}

}  // namespace caprl
