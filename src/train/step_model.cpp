#include "caprl/train/step_model.h"

#include <algorithm>
#include <cmath>

#include "caprl/core/error.h"
#include "caprl/ops/paged_attention.h"

namespace caprl {
namespace {

/// Bytes an optimizer step moves for each value: gradient, master weight and two moments in fp32,
/// the last three written, too; the new weight; the gradient again for the norm.
constexpr double kOptimizerBytes = 4 + 3 * 8 + 2 + 4;
/// Bytes of its state that visit the device and go back, and a second of the link that they take.
constexpr double kOffloadedBytes = 2 * 3 * 4, kHostLink = 50e9;

double num_values(const ParameterSpec& spec) {
  double values = 1;
  for (const int64_t extent : spec.shape) values *= static_cast<double>(extent);
  return values;
}

/// Products of a training pass over those of its forward half: frozen weights have no gradient.
double pass_products(const StepPlan& plan) { return plan.policy.adapters > 0 ? 2 : 3; }

double captions(const StepPlan& plan, int64_t ranks) {
  return plan.images / static_cast<double>(ranks) * plan.group;
}

/// Forward, of `tokens` of text that see `context` tokens each.
double text_flops(const ModelSize& model, double tokens, double context) {
  return tokens * (2 * model.trunk + 4 * model.layers * model.attention * context);
}
double head_flops(const ModelSize& model, double tokens) {
  return 2 * tokens * model.vocab * model.hidden;
}
double vision_flops(const StepPlan& plan, double images) {
  return 2 * plan.policy.vision * plan.policy.merge * plan.lengths.image * images;
}

/// Images and prompts, once for a group.
double read_flops(const StepPlan& plan, double images) {
  const double prompt = plan.lengths.prompt;
  return vision_flops(plan, images) + text_flops(plan.policy, images * prompt, prompt / 2);
}

/// Forward over a rollout's images, prompts and captions, with logits of the captions.
double forward_flops(const StepPlan& plan, int64_t ranks) {
  const TypicalLengths& lengths = plan.lengths;
  const double count = captions(plan, ranks), tokens = count * lengths.completion;
  return read_flops(plan, count / plan.group) +
         text_flops(plan.policy, tokens, lengths.prompt + lengths.completion / 2) +
         head_flops(plan.policy, tokens);
}

/// One pass: the products wait for weights or for arithmetic, then attention reads keys and values,
/// a group's prompt once.
double decode_pass_seconds(const StepPlan& plan, const MachineSpeeds& machine, double alive) {
  const ModelSize& model = plan.policy;
  const TypicalLengths& lengths = plan.lengths;
  const double weights = model.trunk + model.vocab * model.hidden;
  const double kv =
      alive * model.kv_values * (lengths.prompt / plan.group + lengths.completion / 2);
  return std::max(plan.weight_bytes * weights / machine.memory_bandwidth,
                  2 * alive * weights / machine.flops) +
         plan.weight_bytes * kv / machine.memory_bandwidth;
}

/// Captions that end early leave their places to others: all are busy but at the end.
double decode_seconds(const StepPlan& plan, const MachineSpeeds& machine, int64_t ranks) {
  const TypicalLengths& lengths = plan.lengths;
  const double count = captions(plan, ranks), at_a_time = std::min(count, plan.most_samples);
  const double passes =
      count * lengths.completion / at_a_time + lengths.longest_completion - lengths.completion;
  return passes * decode_pass_seconds(plan, machine, count * lengths.completion / passes) /
         machine.decode_share;
}

double reward_flops(const StepPlan& plan, int64_t ranks) {
  const TypicalLengths& lengths = plan.lengths;
  const double count = captions(plan, ranks), asked = count * plan.questions;
  const double tokens =
      count * lengths.completion + asked * (lengths.question + plan.answer_tokens);
  return text_flops(plan.answerer, tokens, lengths.completion + lengths.question / 2) +
         head_flops(plan.answerer, asked * std::max(plan.answer_tokens, 1.0));
}

double link(const MachineSpeeds& machine, int64_t ranks) {
  return ranks <= machine.devices_per_node
             ? machine.link_in_node
             : std::min(machine.link_in_node, machine.link_between_nodes);
}

/// `backward`: seconds of all backward passes of a step.
double collective_seconds(const StepPlan& plan, const MachineSpeeds& machine, int64_t ranks,
                          double backward) {
  if (ranks == 1) return 0;
  const TypicalLengths& lengths = plan.lengths;
  const double tokens = plan.epochs * captions(plan, ranks) *
                        (lengths.prompt / plan.group + lengths.completion) / plan.updates;
  const double passes = std::max(1.0, std::ceil(tokens / plan.micro_tokens));
  const double bytes = plan.policy.trained() * plan.reduce_bytes;
  const double gathered =
      plan.policy.trained() * (plan.zero_stage == 0 ? plan.reduce_bytes : plan.weight_bytes);
  const double summed = exposed_seconds(bytes, plan.bucket_bytes, backward / plan.updates / passes,
                                        passes, plan.zero_stage == 2, machine, ranks);
  return plan.updates *
         (summed + ring_seconds(gathered, gathered / plan.bucket_bytes, machine, ranks));
}

}  // namespace

MachineSpeeds machine_speeds(std::string_view name) {
  if (name == "h100") return {790e12, 3.0e12, 0.55, 0.6, 80e9, 8, 360e9, 42e9, 8e-6};
  if (name == "h200") return {790e12, 4.3e12, 0.55, 0.6, 141e9, 8, 360e9, 42e9, 8e-6};
  if (name == "a100") return {250e12, 1.75e12, 0.55, 0.6, 80e9, 8, 230e9, 21e9, 8e-6};
  throw InputError("unknown machine '{}'; expected h100, h200 or a100", name);
}

ModelSize model_size(const ModelDescription& description) {
  const ModelTraits& traits = description.traits;
  ModelSize size;
  for (const ParameterSpec& spec : description.adapters) size.adapters += num_values(spec);
  double trained = 0;
  for (const ParameterSpec& spec : description.trained) trained += num_values(spec);
  for (const ParameterSpec& spec : description.parameters) {
    const double values = num_values(spec);
    size.weights += values;
    if (spec.name == "model.embed_tokens.weight" || spec.name == "lm_head.weight") continue;
    (spec.name.starts_with("model.") ? size.trunk : size.vision) += values;
  }
  size.frozen = size.weights + size.adapters - trained;
  size.vocab = static_cast<double>(traits.vocab_size);
  size.hidden = static_cast<double>(traits.hidden_size);
  size.layers = static_cast<double>(traits.num_layers);
  size.attention = static_cast<double>(traits.num_heads * traits.head_dim);
  size.kv_values =
      static_cast<double>(2 * traits.num_layers * traits.num_kv_heads * traits.head_dim);
  const auto pages = static_cast<double>(ops::kv_page_bytes(
      traits.num_kv_heads, traits.head_dim, at::TensorOptions(at::kCPU).dtype(at::kFloat)));
  size.cpu_kv_values = size.layers * pages / (sizeof(float) * ops::kKvPageSize);
  size.merge = static_cast<double>(traits.merge_size * traits.merge_size);
  for (const ParameterSpec& spec : description.parameters)
    if (spec.name.starts_with("visual.patch_embed.") && spec.shape.size() > 1)
      size.columns = num_values(spec) / static_cast<double>(spec.shape[0]);
  size.pass = [description](const PassShape& shape, const PassSetting& setting) {
    return pass_memory(description, shape, setting);
  };
  return size;
}

StepPlan step_plan(const GrpoConfig& config, const ModelDescription& policy,
                   const ModelDescription& answerer, const TypicalLengths& lengths,
                   const OtherModels& others) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  const auto bytes = [](const std::string& dtype) {
    return dtype == "bfloat16" ? 2.0 : dtype == "float64" ? 8.0 : 4.0;
  };
  StepPlan plan;
  plan.policy = model_size(policy);
  if (!answerer.parameters.empty()) plan.answerer = model_size(answerer);
  plan.reference_model = others.reference ? model_size(*others.reference) : plan.policy;
  plan.images = number(config.data.train_batch_size);
  plan.group = number(config.rollout.n);
  plan.questions = number(config.reward.qa_num);
  plan.answer_tokens = config.reward.answerer.mode == AnswerMode::kSample
                           ? number(config.reward.answerer.max_new_tokens)
                           : 0;
  plan.epochs = number(config.train.ppo_epochs);
  plan.updates = number(config.train.ppo_epochs * config.train.ppo_mini_batches);
  plan.most_samples = number(config.rollout.limits.max_num_seqs);
  plan.most_inquiries = number(config.reward.answerer.limits.max_num_seqs);
  plan.micro_tokens = number(config.train.micro_tokens);
  plan.loss_chunk_tokens = number(config.train.loss_chunk_tokens);
  plan.bucket_bytes = number(config.parallel.bucket_mb) * 1e6;
  plan.weight_bytes = bytes(config.policy.dtype);
  plan.answerer_bytes = bytes(config.reward.answerer.dtype);
  plan.reduce_bytes = config.parallel.reduce_dtype == ReduceDtype::kBFloat16 ? 2 : 4;
  plan.logit_bytes = bytes(config.train.logits_dtype);
  plan.response_length = number(config.rollout.response_length);
  plan.most_batched_tokens = number(config.rollout.limits.max_num_batched_tokens);
  plan.answerer_batched_tokens = number(config.reward.answerer.limits.max_num_batched_tokens);
  plan.kv_cache_bytes = config.rollout.limits.kv_cache_gb * 1e9;
  plan.answerer_kv_cache_bytes = config.reward.answerer.limits.kv_cache_gb * 1e9;
  plan.on_gpu = config.run.device != "cpu";
  plan.offload = plan.on_gpu && config.optimizer.offload;
  plan.prefetch = config.data.prefetch;
  plan.copies = config.checkpoint.async_save;
  plan.reference = config.algorithm.use_kl_loss;
  plan.reference_bytes = bytes(config.reference.dtype);
  for (const RewardTerm* term : config.reward.terms.active())
    if (const auto loaded = term->model(); loaded && others.judge)
      plan.judge = {model_size(*others.judge),
                    bytes(loaded->dtype),
                    number(loaded->max_new_tokens),
                    number(loaded->limits.max_num_seqs),
                    number(loaded->limits.max_num_batched_tokens),
                    loaded->limits.kv_cache_gb * 1e9};
  plan.reference_shard_layers = number(config.reference.shard_layers);
  plan.answerer_shard_layers = number(config.reward.answerer.shard_layers);
  plan.reference_is_base = config.reference_is_base();
  plan.zero_stage = config.parallel.zero_stage;
  plan.recompute = config.train.gradient_checkpointing;
  plan.lengths = lengths;
  const double limit = number(config.rollout.response_length);
  plan.lengths.longest_completion = std::min(lengths.longest_completion, limit);
  plan.lengths.completion = std::min(lengths.completion, limit);
  return plan;
}

StepPlan step_plan(const SftConfig& config, const ModelDescription& policy,
                   TypicalLengths lengths) {
  GrpoConfig step;
  step.run = config.run;
  step.policy = config.policy;
  step.data = config.data;
  step.parallel = config.parallel;
  step.optimizer = config.optimizer;
  step.checkpoint = config.checkpoint;
  step.train.micro_tokens = config.train.micro_tokens;
  step.train.loss_chunk_tokens = config.train.loss_chunk_tokens;
  step.train.gradient_checkpointing = config.train.gradient_checkpointing;
  const auto rows = static_cast<double>(config.data.rows_per_group);
  for (double* length :
       {&lengths.prompt, &lengths.image, &lengths.completion, &lengths.longest_completion})
    *length *= rows;
  StepPlan plan = step_plan(step, policy, {}, lengths);
  plan.group = 1;
  plan.lengths = lengths;   // no limit of sampling
  plan.kv_cache_bytes = 1;  // of no use; 0 would be all that is left
  return plan;
}

double ring_seconds(double bytes, double pieces, const MachineSpeeds& machine, int64_t ranks) {
  const auto r = static_cast<double>(ranks);
  return (r - 1) / r * bytes / link(machine, ranks) + pieces * (r - 1) * machine.link_latency;
}

double exposed_seconds(double bytes, double bucket, double backward, double passes, bool every_pass,
                       const MachineSpeeds& machine, int64_t ranks) {
  const double pieces = std::max(1.0, std::ceil(bytes / bucket));
  const double all = ring_seconds(bytes, pieces, machine, ranks), last = all / pieces;
  // The last bucket is complete only when the pass is.
  return (every_pass ? passes : 1) * std::max(last, all - backward * (1 - 1 / pieces));
}

StepTime predict_step(const StepPlan& plan, const MachineSpeeds& machine, int64_t ranks) {
  const double products = machine.flops * machine.product_share;
  const double images = plan.images / static_cast<double>(ranks);
  const double decode = decode_seconds(plan, machine, ranks);
  const double forward = forward_flops(plan, ranks) / products;
  const double extra_forwards = (plan.reference ? 1.0 : 0.0) + (plan.updates > 1 ? 1.0 : 0.0);
  const double again = plan.recompute == ops::Recompute::kFull ? 1 : 0;  // of a pass's products
  const bool sharded = plan.zero_stage > 0;
  StepTime time;
  time.rollout = read_flops(plan, images) / products + decode;
  time.reward = reward_flops(plan, ranks) / products;
  time.update = ((pass_products(plan) + again) * plan.epochs + extra_forwards) * forward +
                plan.updates * plan.policy.trained() /
                    (sharded ? static_cast<double>(ranks) : 1.0) *
                    (kOptimizerBytes / machine.memory_bandwidth +
                     (plan.offload ? kOffloadedBytes / kHostLink : 0));
  time.collectives =
      collective_seconds(plan, machine, ranks, (pass_products(plan) - 1) * plan.epochs * forward);
  // Sums of independent lengths; the largest of `ranks` normal numbers (Cramér 1946, §28.6).
  time.waiting = (decode + time.reward) * plan.lengths.spread / std::sqrt(captions(plan, ranks)) *
                 std::sqrt(2 * std::log(static_cast<double>(ranks)));
  return time;
}

}  // namespace caprl
