// Runs that train adapters, from end to end.
#include <ATen/core/grad_mode.h>

#include "caprl/core/error.h"
#include "caprl/generation/prompts.h"
#include "caprl/ops/policy_loss.h"
#include "caprl/train/grpo_trainer.h"
#include "caprl/train/learner.h"
#include "caprl/train/loss_batch.h"
#include "caprl/train/sft_trainer.h"
#include "support/errors.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using testing::HasSubstr;

class LoraRuns : public TinyRun {
 protected:
  template <class Config>
  static Config with_adapters(Config config, int64_t rank = 4) {
    config.policy.lora.rank = rank;
    config.optimizer.lr = 1e-2;
    return config;
  }
  static void train(const GrpoConfig& config) { GrpoTrainer(config, "auto").run(); }
  static void train(const SftConfig& config) { SftTrainer(config, "auto").run(); }

  /// 5 steps in one go, and 2 then 3 by another trainer.
  template <class Config>
  static void expect_exact_resume(const Config& config) {
    Config whole = config, parts = config;
    whole.run.dir += "_whole";
    parts.run.dir += "_parts";
    train(whole);
    for (const int64_t steps : {2, 5}) {
      parts.train.total_steps = steps;
      train(parts);
    }
    const std::string name = std::filesystem::path(config.run.dir).filename();
    expect_same_run(name + "_whole", name + "_parts");
  }
};

TEST_F(LoraRuns, FirstUpdateIsOnPolicyAndTheReferenceIsTheBase) {
  GrpoConfig config = with_adapters(grpo("first", 2));
  config.algorithm.use_kl_loss = true;
  config.train.micro_tokens = 60;  // several passes
  train(config);
  const auto line = metrics("first").at(0);
  EXPECT_EQ(line.at("actor/kl_loss"), 0.0);
  EXPECT_EQ(line.at("actor/ppo_kl"), 0.0);
  EXPECT_EQ(line.at("actor/pg_clipfrac"), 0.0);
  EXPECT_GT(line.at("actor/grad_norm"), 0.0);
  EXPECT_NE(metrics("first").at(1).at("actor/kl_loss"), 0.0);
  for (const auto& step : metrics("first"))
    EXPECT_LT(step.at("training/rollout_probs_diff_max"), 1e-5) << "rollouts have the adapters";
}

/// The base with adapters off is what a second copy of it would be.
TEST_F(LoraRuns, ReferenceIsThatOfALoadedCopy) {
  GrpoConfig config = with_adapters(grpo("own", 3));
  config.algorithm.use_kl_loss = true;
  train(config);
  config.run.dir = path("loaded");
  config.reference.model = path("captioner");
  train(config);
  EXPECT_EQ(metrics("own", true), metrics("loaded", true));
  EXPECT_NE(metrics("own").at(2).at("actor/kl_loss"), 0.0);
}

TEST_F(LoraRuns, GrpoResumesExactly) { expect_exact_resume(with_adapters(grpo("exact", 5))); }

TEST_F(LoraRuns, GrpoResumesExactlyInBfloat16WithSeveralUpdatesAStep) {
  GrpoConfig config = with_adapters(grpo("exact_bf16", 5));
  config.policy.dtype = config.reference.dtype = "bfloat16";
  config.policy.lora.modules_to_save = {"visual.merger"};
  config.algorithm.use_kl_loss = true;
  config.reference.model = path("captioner");
  config.train.ppo_epochs = 2;
  config.train.ppo_mini_batches = 2;
  expect_exact_resume(config);
  for (const auto& [name, tensor] : adapter("exact_bf16_whole", 5))
    EXPECT_EQ(tensor.scalar_type(), at::kBFloat16) << name;
}

TEST_F(LoraRuns, SftResumesExactly) {
  for (const std::string model : {"captioner", "answerer"})
    expect_exact_resume(with_adapters(sft(model + "_exact", model, 5)));
}

TEST_F(LoraRuns, SftLearnsItsRows) {
  SftConfig config = with_adapters(sft("learns", "captioner", 40), 16);
  train(config);
  const auto lines = metrics("learns");
  EXPECT_LT(lines.back().at("train/loss").get<double>(),
            0.75 * lines.front().at("train/loss").get<double>());
}

TEST_F(LoraRuns, CheckpointHoldsTheAdapterAlone) {
  GrpoConfig config = with_adapters(grpo("small", 1));
  config.policy.train = TrainedParts::kLanguage;
  train(config);
  const auto folder = checkpoint("small", 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "model/model.safetensors"));
  for (const char* file : {"config.json", "tokenizer.json", "preprocessor_config.json"})
    EXPECT_TRUE(std::filesystem::exists(folder / "model" / file)) << file;
  int64_t trained = 0;
  for (const auto& [name, tensor] : adapter("small", 1)) {
    EXPECT_THAT(name, testing::StartsWith("base_model.model.model.language_model.layers."));
    trained += tensor.numel();
    if (name.ends_with("lora_B.weight"))
      EXPECT_GT(tensor.abs().max().item<double>(), 0) << name << " is not trained";
  }
  const SafetensorsFile state(folder / "optimizer.safetensors");
  for (const char* name : {"exp_avg", "exp_avg_sq", "weights"})
    EXPECT_EQ(state.tensor(name).numel(), trained) << name;
}

/// What training has in memory is what the checkpoint's directory loads as, merged.
TEST_F(LoraRuns, CheckpointLoadsAsThePolicy) {
  train(with_adapters(grpo("loads", 2)));
  const auto dir = checkpoint("loads", 2) / "model";
  const auto merged = Model::load(dir, {.dtype = at::kDouble});
  ModelOptions options{.dtype = at::kDouble, .train = TrainedParts::kAll};
  options.lora.rank = 4;
  const auto adapted = Model::load(path("captioner"), options);
  load_adapter(*adapted, path("captioner"), dir);
  const PromptBuilder prompts(dir, "", merged->traits(), 4096);
  const auto rows =
      load_caption_rows({path("world/train.jsonl")}, BadRows::kStop, prompts.tokenizer()).rows;
  ScoredSequence scored;
  scored.sequence.prefix =
      prompts.build(rows[0].prompt, std::span(&rows[0].image, 1), rows[0].where);
  scored.sequence.branches = {{5, 6, 7}};
  scored.branches = {{0, 1, 0}};
  const at::NoGradGuard no_grad;
  const auto hidden = [&](const Model& model) {
    return hidden_rows(model, make_loss_batch(std::span(&scored, 1), model));
  };
  EXPECT_TRUE(at::allclose(hidden(*merged), hidden(*adapted), 0, 1e-10));
  EXPECT_FALSE(at::allclose(
      hidden(*merged), hidden(*Model::load(path("captioner"), {.dtype = at::kDouble})), 0, 1e-3));
}

TEST_F(LoraRuns, BaseWeightsKeepTheirBytes) {
  ModelOptions options{.train = TrainedParts::kAll};
  options.lora.rank = 4;
  OptimizerConfig optimizer;
  optimizer.lr = 1e-2;
  Learner learner(path("captioner"), path("captioner"), options, optimizer, Group::alone(), {});
  Parameters& parameters = learner.model().parameters();
  const at::Tensor frozen = parameters.frozen_buffer().clone();
  const at::Tensor before = parameters.trainable_buffer().detach().clone();
  ScoredSequence scored;
  scored.sequence.prefix.ids = {5, 6, 7};
  scored.sequence.branches = {{8, 9, 10}};
  scored.branches = {{0, 1, 0}};
  const LossBatch batch = make_loss_batch(std::span(&scored, 1), learner.model());
  for (int64_t step = 1; step <= 3; ++step) {
    learner.begin(1);
    learner.begin_pass();
    ops::cross_entropy_loss(hidden_rows(learner.model(), batch), learner.model().head_weight(),
                            batch.targets, batch.weights, 64, nullptr,
                            learner.model().head_gradient())
        .backward();
    learner.end_pass();
    EXPECT_FALSE(learner.finish(step, 3, 1, {}).skipped);
  }
  EXPECT_TRUE(at::equal(parameters.frozen_buffer(), frozen));
  EXPECT_FALSE(at::equal(parameters.trainable_buffer().detach(), before));
  const auto whole = Model::load(path("captioner"), {.train = TrainedParts::kAll});
  EXPECT_EQ(frozen.numel(), whole->parameters().num_trainable());
  EXPECT_LT(parameters.num_trainable(), frozen.numel() / 2);
}

TEST_F(LoraRuns, OtherSettingsDoNotContinueACheckpoint) {
  GrpoConfig config = with_adapters(grpo("continued", 2));
  train(config);
  config.train.total_steps = 3;
  GrpoConfig other = config;
  other.policy.lora.rank = 0;
  EXPECT_THAT(input_error([&] { GrpoTrainer(other, "auto"); }),
              HasSubstr("was saved with adapters, but 'policy.lora_rank' is 0"));
  other = config;
  other.policy.lora.rank = 8;
  EXPECT_THAT(input_error([&] { GrpoTrainer(other, "auto"); }),
              HasSubstr("expected an adapter of rank 8"));
  other = config;
  other.policy.lora.exclude_modules = {"q_proj"};
  EXPECT_THAT(input_error([&] { GrpoTrainer(other, "auto"); }),
              HasSubstr("is not trained in this configuration"));

  GrpoConfig whole = grpo("continued_whole", 2);
  train(whole);
  whole.train.total_steps = 3;
  whole.policy.lora.rank = 4;
  EXPECT_THAT(input_error([&] { GrpoTrainer(whole, "auto"); }),
              HasSubstr("was saved without adapters, but 'policy.lora_rank' is 4"));

  GrpoConfig on_top = grpo("on_top", 1);
  on_top.policy.model = checkpoint("continued", 2) / "model";
  EXPECT_THAT(input_error([&] { GrpoTrainer(on_top, "auto"); }),
              HasSubstr("holds an adapter; training needs whole weights"));
}

TEST_F(LoraRuns, WhatMakesNoSenseIsSaid) {
  const auto refused = [](auto change) {
    GrpoConfig config = with_adapters(grpo("refused", 1));
    config.algorithm.use_kl_loss = true;
    change(config);
    return input_error([&] { config.validate(); });
  };
  EXPECT_THAT(refused([](GrpoConfig& config) { config.policy.lora.dropout = 0.05; }),
              HasSubstr("'policy.lora_dropout' is 0.05; expected 0"));
  EXPECT_THAT(refused([](GrpoConfig& config) { config.policy.lora.alpha = 0; }),
              HasSubstr("'policy.lora_alpha' is 0"));
  EXPECT_THAT(refused([](GrpoConfig& config) { config.reference.dtype = "bfloat16"; }),
              HasSubstr("'reference.dtype' is bfloat16, but with 'policy.lora_rank'"));
  EXPECT_THAT(refused([](GrpoConfig& config) { config.reference.shard_layers = 1; }),
              HasSubstr("'reference.shard_layers' is 1, but with 'policy.lora_rank'"));
  EXPECT_THAT(refused([](GrpoConfig& config) { config.policy.lora.modules_to_save = {"merger"}; }),
              HasSubstr("set 'reference.model'"));
  EXPECT_THAT(refused([](GrpoConfig& config) {
                config.policy.lora.rank = 0;
                config.policy.lora.modules_to_save = {"merger"};
              }),
              HasSubstr("'policy.modules_to_save' is for adapters"));
}

}  // namespace
}  // namespace caprl
