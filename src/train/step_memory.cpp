// What a rank holds, phase by phase: what stays through a step, and what each phase adds.
#include <algorithm>
#include <cmath>
#include <functional>

#include "caprl/generation/cache_tokens.h"
#include "caprl/generation/generator.h"
#include "caprl/train/memory_plan.h"

namespace caprl {
namespace {

constexpr double kBuckets = 6;  // of gradients, that exist at a time

PassSetting setting_of(const StepPlan& plan, double value) {
  PassSetting setting;
  setting.value = value;
  setting.kernels = plan.on_gpu;
  setting.flash = plan.on_gpu && value == 2;
  setting.offload = plan.offload;
  setting.recompute = plan.recompute;
  return setting;
}

PassMemory pass_of(const ModelSize& model, const PassShape& shape, const PassSetting& setting) {
  return model.pass ? model.pass(shape, setting) : PassMemory{};
}

double images_of(const StepPlan& plan, int64_t ranks) {
  return plan.images / static_cast<double>(ranks);
}

/// Weights of a frozen model on one rank: with sharded layers its part of them, and those of the
/// group that computes and of the next.
double frozen_weights(const ModelSize& model, double shard_layers, int64_t ranks) {
  if (shard_layers == 0 || ranks == 1) return model.weights;
  const double gathered = std::min(1.0, 2 * shard_layers / model.layers);
  return model.weights - model.trunk * (1 - 1 / static_cast<double>(ranks) - gathered);
}

/// The largest pass of an update: as many groups as the budget holds, longer than usual by two
/// standard deviations as far as it goes; a group by itself is never cut.
PassShape largest_pass(const StepPlan& plan, int64_t ranks) {
  const TypicalLengths& lengths = plan.lengths;
  PassShape shape;
  shape.prefix = lengths.prompt;
  shape.branches = plan.group;
  const double group = lengths.prompt + plan.group * lengths.completion;
  const double deviation = lengths.completion * lengths.spread * std::sqrt(plan.group);
  const double mine = images_of(plan, ranks) * plan.epochs / plan.updates;
  shape.groups = std::min(mine, std::max(1.0, std::floor(plan.micro_tokens / group)));
  const double tokens = shape.groups * group + 2 * deviation * std::sqrt(shape.groups);
  const double most = std::max(group + 2 * deviation, std::min(tokens, plan.micro_tokens));
  shape.branch =
      std::min(lengths.longest_completion, (most / shape.groups - lengths.prompt) / plan.group);
  shape.patches = shape.groups * lengths.image * plan.policy.merge;
  return shape;
}

std::vector<MemoryPart> update_parts(const StepPlan& plan, int64_t ranks) {
  const ModelSize& policy = plan.policy;
  const PassShape shape = largest_pass(plan, ranks);
  const PassSetting setting = setting_of(plan, plan.weight_bytes);
  const ops::OpMemory model = pass_of(policy, shape, setting).training;
  const ops::OpMemory loss =
      ops::loss_memory(setting, {shape.tokens(), shape.groups * shape.branches * shape.branch,
                                 policy.hidden, policy.vocab, plan.loss_chunk_tokens});
  const double in_loss = model.kept + loss.kept + std::max(loss.forward, loss.backward);
  const double in_layers = model.kept + std::max(model.forward, model.backward);
  const double in_optimizer = ops::optimizer_memory(setting, policy.trained());
  if (in_optimizer > std::max(in_loss, in_layers)) return {{"AdamW's temporaries", in_optimizer}};
  std::vector<MemoryPart> parts{{"activations that are kept", model.kept}};
  if (in_loss > in_layers)
    parts.push_back({"logits and their gradients", in_loss - model.kept});
  else
    parts.push_back({"a layer's gradients", in_layers - model.kept});
  return parts;
}

/// One model that samples.
struct Sampling {
  const ModelSize& model;
  double value;                        // bytes
  double prompts, prompt, image;       // prompts, and tokens of one, and of its image
  double samples, suffix, new_tokens;  // of a prompt, and tokens of each
  double most_samples, most_batched_tokens, cache_limit;
  const char* cache_name;
};

double cache_bytes(const StepPlan& plan, const Sampling& work, double room) {
  const auto whole = [](double value) { return static_cast<int64_t>(std::ceil(value)); };
  const double tokens = 1 + work.prompts * static_cast<double>(cache_tokens(
                                               whole(work.prompt), whole(work.samples),
                                               whole(work.suffix), whole(work.new_tokens)));
  const double values = plan.on_gpu ? work.model.kv_values : work.model.cpu_kv_values;
  const double limit = work.cache_limit > 0 ? work.cache_limit : room / 2;
  const double needed =
      std::ceil(tokens / ops::kKvPageSize) * ops::kKvPageSize * values * work.value;
  return limit > 0 ? std::min(needed, limit) : needed;
}

/// `room`: memory that is free when it begins; 0: not known.
std::vector<MemoryPart> sampling_parts(const StepPlan& plan, const Sampling& work, double room) {
  if (work.model.weights == 0 || work.prompts == 0) return {};
  const double all = work.prompts * (work.prompt + work.samples * work.suffix);
  const double most =
      static_cast<double>(tokens_of_a_pass(static_cast<int64_t>(work.most_batched_tokens),
                                           static_cast<int64_t>(work.most_samples), plan.on_gpu));
  const double tokens = std::min(most, all);
  const PassSetting setting = setting_of(plan, work.value);
  PassShape read, seen;
  read.prefix = tokens;
  seen.prefix = work.prompt;
  seen.patches = work.image * work.model.merge;
  const double state = work.model.hidden * work.value;
  // Of prompts with images, which are looked at before any of their tokens are read.
  const double begun = work.image > 0 ? std::min(work.prompts, tokens / work.prompt + 1) : 0;
  const double embedded = begun * work.prompt * state + (begun > 1 ? tokens * state : 0);
  const double rows = std::min(work.most_samples, work.prompts * work.samples);
  const double logits =
      std::max(1.0, std::min(rows, std::floor(kLogitsAtATime / work.model.vocab))) *
      work.model.vocab * 4;
  const double passes =
      std::max({pass_of(work.model, read, setting).reading,
                pass_of(work.model, seen, setting).seeing, logits + rows * state});
  return {{work.cache_name, cache_bytes(plan, work, room)}, {"a forward pass", passes + embedded}};
}

std::vector<MemoryPart> gen_parts(const StepPlan& plan, int64_t ranks, double room) {
  const TypicalLengths& lengths = plan.lengths;
  const double longest =
      plan.response_length > 0 ? plan.response_length : lengths.longest_completion;
  return sampling_parts(plan,
                        {plan.policy, plan.weight_bytes, images_of(plan, ranks), lengths.prompt,
                         lengths.image, plan.group, 0, longest, plan.most_samples,
                         plan.most_batched_tokens, plan.kv_cache_bytes, "keys and values"},
                        room);
}

double sum(const std::vector<MemoryPart>& parts) {
  double bytes = 0;
  for (const MemoryPart& part : parts) bytes += part.bytes;
  return bytes;
}

/// First the answerer's, then the judge's.
std::vector<MemoryPart> reward_parts(const StepPlan& plan, int64_t ranks, double room) {
  const TypicalLengths& lengths = plan.lengths;
  const double images = images_of(plan, ranks), captions = images * plan.group;
  auto answers = sampling_parts(
      plan,
      {plan.answerer, plan.answerer_bytes, captions, lengths.instruction + lengths.completion, 0,
       std::max(1.0, plan.questions), lengths.question, std::max(1.0, plan.answer_tokens),
       plan.most_inquiries, plan.answerer_batched_tokens, plan.answerer_kv_cache_bytes,
       "the answerer's keys and values"},
      room);
  const JudgePlan& judge = plan.judge;
  auto judgements = sampling_parts(
      plan,
      {judge.size, judge.bytes, images, lengths.instruction + lengths.image, lengths.image,
       plan.group, lengths.completion, judge.new_tokens, judge.most_samples,
       judge.most_batched_tokens, judge.kv_cache_bytes, "the judge's keys and values"},
      room);
  return sum(answers) > sum(judgements) ? answers : judgements;
}

/// What lies in a CPU's memory beside the phases' own: the step's pictures, and what checkpoints
/// are written from, once there was one (of files with the dtype that is trained in).
std::vector<MemoryPart> host_parts(const StepPlan& plan, int64_t ranks) {
  if (plan.on_gpu) return {};
  const ModelSize& policy = plan.policy;
  const double real = std::max(4.0, plan.weight_bytes);
  const double pictures = images_of(plan, ranks) * plan.lengths.image * policy.merge *
                          policy.columns * 4 * (plan.prefetch ? 2 : 1);
  const double saved = policy.adapters > 0 ? policy.adapters : policy.weights;
  const double state = (2 * real + (plan.weight_bytes < real ? real : 0) + plan.weight_bytes) /
                       (plan.zero_stage == 0 ? 1 : static_cast<double>(ranks));
  std::vector<MemoryPart> parts{{"pictures", pictures}};
  if (plan.copies)
    parts.push_back({"a checkpoint's copy", saved * plan.weight_bytes + policy.trained() * state});
  return parts;
}

}  // namespace

RankMemory predict_memory(const StepPlan& plan, int64_t ranks) {
  const ModelSize& policy = plan.policy;
  const bool alone = ranks == 1;
  const double r = static_cast<double>(ranks), real = std::max(4.0, plan.weight_bytes);
  const double master = plan.weight_bytes < real ? real : 0;
  // Embedding and output head, one tensor or two.
  const double rows = policy.vocab * policy.hidden;
  const bool tied = policy.weights - policy.trunk - policy.vision < 1.5 * rows;
  const double head = policy.adapters > 0 ? 0 : rows * (tied ? 1 : 2);
  RankMemory memory;
  memory.weights =
      (policy.weights + policy.adapters) * plan.weight_bytes +
      frozen_weights(plan.answerer, plan.answerer_shard_layers, ranks) * plan.answerer_bytes +
      plan.judge.size.weights * plan.judge.bytes;
  if (plan.reference && !plan.reference_is_base)
    memory.weights += frozen_weights(plan.reference_model, plan.reference_shard_layers, ranks) *
                      plan.reference_bytes;
  const double gradients = real * policy.trained();
  const double sums = std::min(gradients, kBuckets * plan.bucket_bytes);  // being filled or sent
  memory.gradients = alone || plan.zero_stage < 2 ? gradients : gradients / r + real * head + sums;
  // Offloaded it is none of the device's.
  memory.optimizer = plan.offload ? 0
                                  : (master + 2 * real) * policy.trained() /
                                        (alone || plan.zero_stage == 0 ? 1 : r);
  return memory;
}

std::vector<PhaseMemory> memory_by_phase(const StepPlan& plan, int64_t ranks) {
  const RankMemory memory = predict_memory(plan, ranks);
  const double held = memory.weights + memory.gradients + memory.optimizer;
  const double room = plan.device_memory > 0 ? std::max(1.0, plan.device_memory - held) : 0;
  const auto phase = [&](const char* name, std::vector<MemoryPart> parts) {
    for (MemoryPart& part : host_parts(plan, ranks)) parts.push_back(std::move(part));
    std::erase_if(parts, [](const MemoryPart& part) { return part.bytes == 0; });
    std::ranges::stable_sort(parts, std::greater<>(), &MemoryPart::bytes);
    const double working = sum(parts);
    return PhaseMemory{name,    memory.weights,  memory.gradients, memory.optimizer,
                       working, std::move(parts)};
  };
  return {phase("gen", gen_parts(plan, ranks, room)),
          phase("reward", reward_parts(plan, ranks, room)),
          phase("update", update_parts(plan, ranks))};
}

}  // namespace caprl
