// The configuration of `caprl train` and `caprl sft`: sections that belong to a run as a whole. The
// other sections are beside what they configure (data, rollout, reward, algorithm, optimizer).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "caprl/core/config.h"
#include "caprl/data/dataset.h"
#include "caprl/generation/generator.h"
#include "caprl/models/model.h"
#include "caprl/reward/reward.h"
#include "caprl/train/advantage.h"
#include "caprl/train/optimizer.h"
#include "caprl/train/parallel.h"
#include "caprl/train/presets.h"

namespace caprl {

struct RunConfig {
  std::string dir;
  int64_t seed = 1;
  std::string device = "cpu";
  int64_t threads = 0;
  void fields(ConfigVisitor& v);
};

struct PolicyConfig {
  std::string model;
  std::string dtype = "bfloat16";
  std::string chat_template;  // a Jinja file; empty: the model directory's
  TrainedParts train = TrainedParts::kAll;
  LoraConfig lora;
  void fields(ConfigVisitor& v);
  void validate() const;  // InputError
  /// `seed`: the run's.
  ModelOptions options(at::Device device, int64_t seed, ops::Recompute recompute) const;
};

struct ReferenceConfig {
  std::string model;  // empty: the policy's, with adapters its base weights themselves
  std::string dtype = "bfloat16";
  int64_t shard_layers = 0;
  void fields(ConfigVisitor& v);
};

struct RolloutConfig {
  int64_t n = 8;
  double temperature = 1.0;
  int64_t response_length = 4096;
  double repetition_penalty = 1.0;
  GenerationLimits limits;
  void fields(ConfigVisitor& v);
};

struct TrainLoopConfig {
  int64_t total_steps = 1000;
  int64_t ppo_epochs = 1;
  int64_t ppo_mini_batches = 1;
  int64_t micro_tokens = 16384;
  ops::Recompute gradient_checkpointing = ops::Recompute::kNone;
  int64_t loss_chunk_tokens = 2048;
  std::string logits_dtype = "float32";
  bool mask_truncated_completions = false;
  double max_rollout_probs_diff = 0;
  int64_t max_skipped_steps = 3;
  void fields(ConfigVisitor& v);
};

struct CheckpointConfig {
  int64_t save_freq = 50;
  int64_t keep_last = 2;
  int64_t keep_best = 0;
  std::string best_metric = "val/reward/mean";
  bool async_save = true;
  void fields(ConfigVisitor& v);
};

struct EvalConfig {
  int64_t freq = 0;
  int64_t n = 1;
  double temperature = 1.0;
  void fields(ConfigVisitor& v);
};

struct LogConfig {
  bool tensorboard = true;
  int64_t prometheus_port = 0;
  std::string prometheus_host = "127.0.0.1";
  void fields(ConfigVisitor& v);
};

struct GrpoLogConfig : LogConfig {
  bool rollouts = true;
  void fields(ConfigVisitor& v);
};

/// `caprl train`.
struct GrpoConfig {
  Preset preset = Preset::kNone;
  RunConfig run;
  PolicyConfig policy;
  ReferenceConfig reference;
  DataConfig data;
  RolloutConfig rollout;
  RewardConfig reward;
  AlgorithmConfig algorithm;
  OptimizerConfig optimizer;
  TrainLoopConfig train;
  ParallelConfig parallel;
  CheckpointConfig checkpoint;
  EvalConfig eval;
  GrpoLogConfig log;
  void fields(ConfigVisitor& v);
  std::vector<PresetValue> preset_values() const;
  /// Whether the KL reference is the policy itself without its adapters.
  bool reference_is_base() const { return policy.lora.enabled() && reference.model.empty(); }
  /// Conditions between keys; InputError names both.
  void validate() const;
};

struct SftLoopConfig {
  int64_t total_steps = 1000;
  int64_t micro_tokens = 16384;
  ops::Recompute gradient_checkpointing = ops::Recompute::kNone;
  int64_t loss_chunk_tokens = 2048;
  int64_t max_skipped_steps = 3;
  void fields(ConfigVisitor& v);
};

/// `caprl sft`.
struct SftConfig {
  RunConfig run;
  PolicyConfig policy;
  DataConfig data;
  OptimizerConfig optimizer;
  SftLoopConfig train;
  ParallelConfig parallel;
  CheckpointConfig checkpoint;
  LogConfig log;
  void fields(ConfigVisitor& v);
  void validate() const;
};

/// "cpu", "cuda:1", or "cuda" and "auto" (if there is one): this machine's GPU number `local_rank`.
/// A GPU becomes this thread's current one, where kernels are launched. InputError if there is no
/// such device.
at::Device choose_device(const std::string& name, int local_rank = 0);

}  // namespace caprl
