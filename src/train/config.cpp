#include "caprl/train/config.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>

#include "caprl/core/error.h"

namespace caprl {
namespace {

/// What of a pass exists at a time.
void add_pass_fields(ConfigVisitor& v, int64_t& micro_tokens, ops::Recompute& recompute,
                     int64_t& loss_chunk_tokens) {
  v.field(
      "micro_tokens", micro_tokens,
      "tokens packed into one forward and backward pass, the longest groups first; a longer group "
      "is its own pass, and reported",
      Range{1, 1e9});
  v.choice(
      "gradient_checkpointing", recompute,
      {{"none", ops::Recompute::kNone},
       {"mlp", ops::Recompute::kMlp},
       {"full", ops::Recompute::kFull}},
      "activations that are computed again in the backward pass instead of kept: none; mlp: the "
      "inside of every feed-forward layer; full: all but the states between layers");
  v.field("loss_chunk_tokens", loss_chunk_tokens, "rows of logits that exist at a time",
          Range{1, 1e9});
}

}  // namespace

void RunConfig::fields(ConfigVisitor& v) {
  v.field("dir", dir, "run folder: metrics, rollouts and checkpoints go there");
  v.field("seed", seed, "seed of every random number of the run", Range{0, 9e18});
  v.field("device", device, "cpu, cuda, cuda:N, or auto: the first GPU if there is one");
  v.field("threads", threads, "CPU threads; 0: all cores. Part of what exact resume needs equal",
          Range{0, 4096});
}

void ReferenceConfig::fields(ConfigVisitor& v) {
  v.field("model", model,
          "directory of the KL reference, loaded only with algorithm.use_kl_loss; "
          "empty: policy.model as it was before training; with policy.lora_rank the weights in "
          "memory without their adapters");
  v.field("dtype", dtype, "float32, bfloat16 or float64");
  v.field("shard_layers", shard_layers,
          "decoder layers that are gathered at a time where each process holds its part of the "
          "model; 0: each holds all of it",
          Range{0, 10000});
}

void RolloutConfig::fields(ConfigVisitor& v) {
  v.field("n", n, "captions sampled per image (group size G)", Range{1, 4096});
  v.field("temperature", temperature, "sampling temperature, used in the loss as well",
          Range{1e-3, 100});
  v.field("response_length", response_length, "longest caption in tokens", Range{1, 1e6});
  v.field("repetition_penalty", repetition_penalty, "must be 1 (off) in training", Range{0, 1000});
  limits.fields(v);
}

void TrainLoopConfig::fields(ConfigVisitor& v) {
  v.field("total_steps", total_steps, "rollout-and-update steps", Range{1, 1e9});
  v.field("ppo_epochs", ppo_epochs, "passes over each rollout; 1 is strictly on-policy",
          Range{1, 100});
  v.field("ppo_mini_batches", ppo_mini_batches, "updates per pass; images are divided among them",
          Range{1, 1e6});
  add_pass_fields(v, micro_tokens, gradient_checkpointing, loss_chunk_tokens);
  v.field("logits_dtype", logits_dtype,
          "of the loss of a bfloat16 model: float32, or bfloat16 for half the memory and rounded "
          "log-probabilities");
  v.field("mask_truncated_completions", mask_truncated_completions,
          "leave captions that hit the length limit out of the loss");
  v.field("max_rollout_probs_diff", max_rollout_probs_diff,
          "stop if a sampled token's probability differs by more between rollout and training; 0: "
          "never",
          Range{0, 1});
  v.field("max_skipped_steps", max_skipped_steps,
          "stop after this many non-finite updates in a row", Range{1, 1e9});
}

void ParallelConfig::fields(ConfigVisitor& v) {
  v.field("zero_stage", zero_stage,
          "what each process holds its part of only: 0: nothing; 1: optimizer state and master "
          "weights; 2: gradients, too",
          Range{0, 2});
  v.field("bucket_mb", bucket_mb, "megabytes of gradients or weights that one collective carries",
          Range{1, 1e5});
  v.choice("reduce_dtype", reduce_dtype,
           {{"float32", ReduceDtype::kFloat32}, {"bfloat16", ReduceDtype::kBFloat16}},
           "of gradients on their way between processes; bfloat16 is half the traffic");
  v.field("timeout_s", timeout_s,
          "seconds after which a process that does not come, falls silent or hangs ends the run",
          Range{0.1, 86400});
  v.field("collective_timeout_s", collective_timeout_s,
          "seconds that a process may wait for slower ones before the run ends", Range{0.1, 86400});
}

void ParallelConfig::check_batch(int64_t train_batch_size, int processes) {
  if (train_batch_size % processes != 0)
    throw InputError(
        "config: 'data.train_batch_size': expected a multiple of the {} processes, got {}",
        processes, train_batch_size);
}

void CheckpointConfig::fields(ConfigVisitor& v) {
  v.field("save_freq", save_freq, "steps between checkpoints; the last step is always saved",
          Range{1, 1e9});
  v.field("keep_last", keep_last, "newest complete checkpoints that are kept", Range{1, 1e6});
  v.field("keep_best", keep_best,
          "and how many of those with the highest best_metric, if the step has one", Range{0, 1e6});
  v.field("best_metric", best_metric, "name of a metric of the step");
  v.field("async_save", async_save,
          "copy what is saved to host memory and write it while training goes on");
}

void EvalConfig::fields(ConfigVisitor& v) {
  v.field("freq", freq,
          "steps between evaluations on data.val_files, before the first and after the "
          "last step too; 0: never",
          Range{0, 1e9});
  v.field("n", n, "captions per held-out image", Range{1, 4096});
  v.field("temperature", temperature, "sampling temperature; 0: greedy", Range{0, 100});
}

void LogConfig::fields(ConfigVisitor& v) {
  v.field("tensorboard", tensorboard,
          "write the figures of metrics.jsonl as TensorBoard's event files, too, to "
          "run.dir/tensorboard");
  v.field("prometheus_port", prometheus_port,
          "port on which GET /metrics tells Prometheus the newest figures; 0: none",
          Range{0, 65535});
  v.field("prometheus_host", prometheus_host,
          "address of that port; 0.0.0.0 or :: for all of this machine's");
}

void GrpoLogConfig::fields(ConfigVisitor& v) {
  v.field("rollouts", rollouts, "write every step's captions, answers and rewards");
  LogConfig::fields(v);
}

std::vector<PresetValue> GrpoConfig::preset_values() const {
  auto values = caprl::preset_values(training_presets(), preset);
  for (PresetValue& value : caprl::preset_values(reward_presets(), preset))
    values.push_back(std::move(value));
  return values;
}

void GrpoConfig::fields(ConfigVisitor& v) {
  preset_field(v, preset);
  v.section("run", run, "the run as a whole");
  v.section("policy", policy, "the captioner");
  v.section("reference", reference, "the frozen model of the KL term");
  v.section("data", data, "images and questions");
  v.section("rollout", rollout, "sampling captions");
  v.section("reward", reward, "questions, answerer, reward");
  v.section("algorithm", algorithm, "advantages and loss");
  v.section("optimizer", optimizer, "AdamW and its schedule");
  v.section("train", train, "the training loop");
  v.section("parallel", parallel, "several processes");
  v.section("checkpoint", checkpoint, "saving");
  v.section("eval", eval, "evaluation on held-out images");
  v.section("log", log, "what is recorded");
}

namespace {

void require(const std::string& value, std::string_view key) {
  if (value.empty()) throw InputError("config: '{}' must be set", key);
}

/// Adapters can be left out; modules that are trained whole cannot.
void check_base_reference(const GrpoConfig& config) {
  if (!config.algorithm.use_kl_loss || !config.reference_is_base()) return;
  if (!config.policy.lora.modules_to_save.empty())
    throw InputError(
        "config: 'policy.modules_to_save' are trained whole, so the policy without its adapters is "
        "no KL reference; set 'reference.model', which is then loaded");
  if (config.reference.shard_layers != 0)
    throw InputError(
        "config: 'reference.shard_layers' is {}, but with 'policy.lora_rank' the reference is the "
        "policy's weights, which every process holds whole; expected 0, or a 'reference.model'",
        config.reference.shard_layers);
  if (config.reference.dtype != config.policy.dtype)
    throw InputError(
        "config: 'reference.dtype' is {}, but with 'policy.lora_rank' the reference is the "
        "policy's "
        "weights, which are {} ('policy.dtype'); make them equal, or set 'reference.model'",
        config.reference.dtype, config.policy.dtype);
}

}  // namespace

void GrpoConfig::validate() const {
  require(run.dir, "run.dir");
  require(policy.model, "policy.model");
  if (data.train_files.empty()) throw InputError("config: 'data.train_files' must name a file");
  if (eval.freq > 0 && data.val_files.empty())
    throw InputError("config: 'eval.freq' is {} but 'data.val_files' names no file", eval.freq);
  if (data.rows_per_group != 1)
    throw InputError("config: 'data.rows_per_group' is for supervised data; expected 1, got {}",
                     data.rows_per_group);
  if (rollout.repetition_penalty != 1)
    throw InputError(
        "config: 'rollout.repetition_penalty' is {}; expected 1: training recomputes the "
        "probabilities that captions were sampled with, and those of a penalty on earlier words "
        "are not the policy's own",
        rollout.repetition_penalty);
  if (train.ppo_mini_batches > data.train_batch_size)
    throw InputError(
        "config: 'train.ppo_mini_batches' ({}) must not exceed 'data.train_batch_size' ({})",
        train.ppo_mini_batches, data.train_batch_size);
  reward.validate();
  algorithm.validate();
  optimizer.validate();
  policy.validate();
  parse_dtype(reference.dtype, "config: 'reference.dtype'");
  check_base_reference(*this);
  if (parse_dtype(train.logits_dtype, "config: 'train.logits_dtype'") == at::kDouble)
    throw InputError("config: 'train.logits_dtype': expected float32 or bfloat16, got 'float64'");
}

void SftLoopConfig::fields(ConfigVisitor& v) {
  v.field("total_steps", total_steps, "optimizer steps", Range{1, 1e9});
  add_pass_fields(v, micro_tokens, gradient_checkpointing, loss_chunk_tokens);
  v.field("max_skipped_steps", max_skipped_steps,
          "stop after this many non-finite updates in a row", Range{1, 1e9});
}

void SftConfig::fields(ConfigVisitor& v) {
  v.section("run", run, "the run as a whole");
  v.section("policy", policy, "the model that is trained");
  v.section("data", data, "prompts and responses");
  v.section("optimizer", optimizer, "AdamW and its schedule");
  v.section("train", train, "the training loop");
  v.section("parallel", parallel, "several processes");
  v.section("checkpoint", checkpoint, "saving");
  v.section("log", log, "what is recorded");
}

void SftConfig::validate() const {
  require(run.dir, "run.dir");
  require(policy.model, "policy.model");
  if (data.train_files.empty()) throw InputError("config: 'data.train_files' must name a file");
  optimizer.validate();
  policy.validate();
}

namespace {

at::Device make_current(at::Device device) {
  // NOLINTNEXTLINE(bugprone-signed-char-misuse): a number, not a letter
  const auto count = static_cast<int>(at::accelerator::deviceCount());
  if (device.index() >= count)
    throw InputError("config: 'run.device': GPU {} is asked for, but this machine has {}",
                     static_cast<int>(device.index()), count);
  at::accelerator::setDeviceIndex(device.index());
  return device;
}

}  // namespace

at::Device choose_device(const std::string& name, int local_rank) {
  const at::Device own(at::kCUDA, static_cast<c10::DeviceIndex>(local_rank));
  if (name == "auto") return at::hasCUDA() ? make_current(own) : at::Device(at::kCPU);
  if (name == "cpu") return at::kCPU;
  if (name == "cuda" || name.starts_with("cuda:")) {
    if (!at::hasCUDA())
      throw InputError("config: 'run.device': '{}' is asked for, but no GPU is usable here", name);
    std::optional<at::Device> device;
    try {
      device = name == "cuda" ? own : at::Device(name);
    } catch (const c10::Error&) {
      // falls through to the message below
    }
    if (device) return make_current(*device);
  }
  throw InputError("config: 'run.device': expected cpu, cuda, cuda:N or auto, got '{}'", name);
}

}  // namespace caprl
