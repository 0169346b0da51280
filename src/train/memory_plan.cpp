#include "caprl/train/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace caprl {
namespace {

constexpr double kLeastMicroTokens = 1024, kLeastChunk = 256, kLeastCacheGb = 1;
constexpr int64_t kMostRanks = 1024;

/// Keys and values of the answerer: a caption's once for its questions.
double answering_bytes(const StepPlan& plan, int64_t ranks) {
  const TypicalLengths& lengths = plan.lengths;
  const double asked =
      plan.images / static_cast<double>(ranks) * plan.group * std::max(1.0, plan.questions);
  return std::min(asked, plan.most_inquiries) * plan.answerer.kv_values * plan.answerer_bytes *
         (lengths.completion / std::max(1.0, plan.questions) + lengths.question +
          plan.answer_tokens);
}

/// Gives keys and values the room that there is, in whole GB.
void shrink_cache(StepPlan& plan, double memory, int64_t ranks) {
  StepPlan none = plan;
  none.kv_cache_bytes = 1;
  const double room = memory - memory_by_phase(none, ranks).front().total();
  const double gb = std::floor(room / 1e9);
  if (gb >= kLeastCacheGb && gb * 1e9 < predict_memory(plan, ranks).kv_cache)
    plan.kv_cache_bytes = gb * 1e9;
}

/// False: it is as small as it may be.
bool halve(double& value, double least) {
  if (value / 2 < least) return false;
  value = std::floor(value / 2);
  return true;
}

std::vector<std::string> changed_settings(const StepPlan& from, const StepPlan& to) {
  std::vector<std::string> settings;
  const auto add = [&](const char* key, double before, double after) {
    if (before != after) settings.push_back(fmt::format("{}={:.0f}", key, after));
  };
  add("train.loss_chunk_tokens", from.loss_chunk_tokens, to.loss_chunk_tokens);
  add("train.micro_tokens", from.micro_tokens, to.micro_tokens);
  add("rollout.kv_cache_gb", from.kv_cache_bytes / 1e9, to.kv_cache_bytes / 1e9);
  if (from.recompute != to.recompute)
    settings.push_back(fmt::format("train.gradient_checkpointing={}",
                                   to.recompute == ops::Recompute::kMlp ? "mlp" : "full"));
  add("parallel.zero_stage", static_cast<double>(from.zero_stage),
      static_cast<double>(to.zero_stage));
  return settings;
}

}  // namespace

std::vector<PhaseMemory> memory_by_phase(const StepPlan& plan, int64_t ranks) {
  const RankMemory memory = predict_memory(plan, ranks);
  const auto phase = [&](const char* name, double working) {
    return PhaseMemory{name, memory.weights, memory.gradients, memory.optimizer, working};
  };
  return {phase("gen", memory.kv_cache), phase("reward", answering_bytes(plan, ranks)),
          phase("update", memory.activations)};
}

double peak_memory(const StepPlan& plan, int64_t ranks) {
  double peak = 0;
  for (const PhaseMemory& phase : memory_by_phase(plan, ranks))
    peak = std::max(peak, phase.total());
  return peak;
}

std::optional<FittingPlan> fit_by_settings(const StepPlan& plan, double memory, int64_t ranks) {
  if (peak_memory(plan, ranks) <= memory) return {};
  StepPlan smaller = plan;
  if (ranks > 1) smaller.zero_stage = 2;
  if (peak_memory(smaller, ranks) > memory) shrink_cache(smaller, memory, ranks);
  while (peak_memory(smaller, ranks) > memory && halve(smaller.loss_chunk_tokens, kLeastChunk)) {
  }
  // A group that is longer is a pass of its own.
  const double group = plan.lengths.prompt + plan.group * plan.lengths.completion;
  const double least = std::max(kLeastMicroTokens, group);
  while (peak_memory(smaller, ranks) > memory && halve(smaller.micro_tokens, least)) {
  }
  for (const ops::Recompute more : {ops::Recompute::kMlp, ops::Recompute::kFull})
    if (peak_memory(smaller, ranks) > memory && more > smaller.recompute) smaller.recompute = more;
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
