// The step on paper, against arithmetic done by hand.
#include "caprl/train/step_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "caprl/models/presets.h"
#include "support/errors.h"

namespace caprl {
namespace {

ModelSize size_of(const char* preset) {
  return model_size(describe_model(preset_config(preset), preset));
}

/// Qwen2.5-VL-3B's recipe.
StepPlan plan_3b() {
  StepPlan plan;
  plan.policy = size_of("qwen2_5_vl_3b");
  plan.answerer = size_of("qwen2_5_3b");
  return plan;
}

/// Everything reached in full.
MachineSpeeds floor_of(const char* name) {
  MachineSpeeds machine = machine_speeds(name);
  machine.product_share = machine.decode_share = 1;
  return machine;
}

TEST(StepModel, SizesOfThePublishedModels) {
  const ModelSize policy = size_of("qwen2_5_vl_3b"), answerer = size_of("qwen2_5_3b");
  EXPECT_NEAR(policy.weights, 3.7546e9, 1e6);  // its safetensors index: 7,509,245,952 bytes of bf16
  EXPECT_NEAR(answerer.weights, 3.0859e9, 1e6);
  EXPECT_EQ(answerer.vision, 0);
  EXPECT_EQ(policy.vocab * policy.hidden, 151936.0 * 2048);
  EXPECT_EQ(policy.trunk + policy.vision + policy.vocab * policy.hidden, policy.weights);  // tied
  EXPECT_EQ(policy.kv_values, 2 * 36 * 2 * 128);
  EXPECT_EQ(policy.cpu_kv_values, policy.kv_values);  // heads of 128
  EXPECT_EQ(policy.columns, 3 * 2 * 14 * 14);
}

/// Rank 8 on every layer of the decoder: 8 · (inputs + outputs) each.
TEST(StepModel, AdaptersAreWhatIsTrained) {
  LoraConfig lora;
  lora.rank = 8;
  const ModelSize size =
      model_size(describe_model(preset_config("qwen2_5_vl_3b"), "", TrainedParts::kLanguage, lora));
  const double layer = 8.0 * (2 * (2048 + 2048) + 2 * (2048 + 256) + 3 * (2048 + 11008));
  EXPECT_EQ(size.adapters, 36 * layer);
  EXPECT_EQ(size.trained(), size.adapters);
  EXPECT_EQ(size.frozen, size.weights);
  EXPECT_EQ(size.weights, size_of("qwen2_5_vl_3b").weights);

  StepPlan plan = plan_3b();
  const RankMemory whole = predict_memory(plan, 1);
  plan.policy = size;
  plan.reference = plan.reference_is_base = true;
  const RankMemory memory = predict_memory(plan, 1);
  EXPECT_EQ(memory.weights, whole.weights + 2 * size.adapters);
  EXPECT_EQ(memory.gradients, 4 * size.adapters);
  EXPECT_EQ(memory.optimizer, 12 * size.adapters);
}

/// Of the vision tower nothing is trained.
TEST(StepModel, FrozenPartsHaveNoOptimizerState) {
  StepPlan plan = plan_3b();
  plan.policy =
      model_size(describe_model(preset_config("qwen2_5_vl_3b"), "", TrainedParts::kLanguage));
  EXPECT_EQ(plan.policy.frozen, plan.policy.vision);
  EXPECT_EQ(predict_memory(plan, 1).optimizer, 12 * (plan.policy.weights - plan.policy.vision));
}

/// Decoding of 64 and of 256 captions in groups of 8 after prompts of 1,300 tokens, 512 tokens on
/// average behind them, at 4.3 TB/s: 6.17 GB of weights and 1.59 GB of keys and values; 2.0 ms of
/// products and 6.37 GB.
TEST(StepModel, ADecodePassIsWhatItReads) {
  StepPlan plan = plan_3b();
  plan.lengths = {.prompt = 1300, .image = 0, .completion = 1024, .longest_completion = 1024};
  MachineSpeeds machine = floor_of("h200");
  const auto pass = [&](double images) {
    plan.images = images;
    StepPlan unread = plan;
    unread.lengths.prompt = 0;
    const double read = 2 * plan.policy.trunk * 1300 * images +
                        4 * plan.policy.layers * plan.policy.attention * 650 * 1300 * images;
    return (predict_step(plan, machine, 1).rollout - read / machine.flops) / 1024;
  };
  EXPECT_NEAR(pass(8), 1.81e-3, 0.01e-3);
  EXPECT_NEAR(pass(32), 3.48e-3, 0.01e-3);
}

/// 3 · 2 operations a weight and token, each image and prompt once for its group.
TEST(StepModel, AnUpdateIsItsProducts) {
  StepPlan plan;
  plan.policy.trunk = 3e9;
  plan.images = 2;
  plan.lengths = {.prompt = 1300, .image = 0, .completion = 512};
  const MachineSpeeds machine = floor_of("h100");
  const double one = 6 * 3e9 * 2 * (1300 + 8 * 512) / 790e12;
  EXPECT_NEAR(predict_step(plan, machine, 1).update, one, 1e-9 * one);
  plan.reference = true;
  EXPECT_NEAR(predict_step(plan, machine, 1).update, one * 4 / 3, 1e-9 * one);
  plan.epochs = plan.updates = 2;  // and the probabilities before the first update
  EXPECT_NEAR(predict_step(plan, machine, 1).update, one * 8 / 3, 1e-9 * one);
}

/// A frozen model of 1,000 weights, 900 of them in its ten layers, of which two are here at a time.
TEST(StepModel, ShardedLayersAreHeldInParts) {
  StepPlan plan;
  plan.answerer = {.weights = 1000, .trunk = 900, .layers = 10};
  plan.answerer_bytes = 2;
  EXPECT_DOUBLE_EQ(predict_memory(plan, 4).weights, 2000);
  plan.answerer_shard_layers = 1;
  EXPECT_DOUBLE_EQ(predict_memory(plan, 1).weights, 2000);
  EXPECT_DOUBLE_EQ(predict_memory(plan, 4).weights, 2 * (100 + 900 / 4.0 + 180));
}

/// ZeRO's example (arXiv 1910.02054, figure 1: 7.5 billion weights, 64 ranks), with fp32 gradients.
TEST(StepModel, MemoryByZeroStage) {
  StepPlan plan;
  plan.policy.weights = 7.5e9;
  plan.bucket_bytes = 0;
  const auto held = [&](int64_t stage, int64_t ranks) {
    plan.zero_stage = stage;
    const RankMemory memory = predict_memory(plan, ranks);
    return memory.weights + memory.gradients + memory.optimizer;
  };
  EXPECT_DOUBLE_EQ(held(0, 64), 7.5e9 * (2 + 4 + 12));
  EXPECT_DOUBLE_EQ(held(1, 64), 7.5e9 * (2 + 4 + 12.0 / 64));
  EXPECT_DOUBLE_EQ(held(2, 64), 7.5e9 * (2 + 16.0 / 64));
  EXPECT_DOUBLE_EQ(held(2, 1), held(0, 64));
}

TEST(StepModel, RingsSendAllButTheirOwnPart) {
  MachineSpeeds machine = machine_speeds("h100");
  machine.link_latency = 1e-6;
  EXPECT_DOUBLE_EQ(ring_seconds(8e9, 3, machine, 8), 7e9 / 360e9 + 3 * 7e-6);
  EXPECT_DOUBLE_EQ(ring_seconds(8e9, 1, machine, 16), 7.5e9 / 42e9 + 15e-6);
  EXPECT_EQ(ring_seconds(8e9, 1, machine, 1), 0);
}

TEST(StepModel, ABackwardPassHidesAllButTheLastBucket) {
  MachineSpeeds machine = machine_speeds("h100");
  machine.link_latency = 0;
  const double all = ring_seconds(8e9, 1, machine, 8);
  EXPECT_DOUBLE_EQ(exposed_seconds(8e9, 1e9, 100, 4, false, machine, 8), all / 8);
  EXPECT_DOUBLE_EQ(exposed_seconds(8e9, 1e9, 100, 4, true, machine, 8), 4 * all / 8);
  EXPECT_DOUBLE_EQ(exposed_seconds(8e9, 1e9, 0, 1, true, machine, 8), all);
}

TEST(StepModel, TheRecipeScalesToANodeWithNvlink) {
  for (const MachineSpeeds& machine : {machine_speeds("h100"), floor_of("h100")}) {
    StepPlan plan = plan_3b();
    plan.images = 16;
    const double alone = predict_step(plan, machine, 1).total();
    plan.images = 16 * 8;
    const double together = predict_step(plan, machine, 8).total();
    EXPECT_GE(alone / together, 0.95);
    EXPECT_LT(alone / together, 1);
  }
}

TEST(StepModel, SaysWhichMachinesItKnows) {
  EXPECT_EQ(message_of<InputError>([] { machine_speeds("tpu"); }),
            "unknown machine 'tpu'; expected h100, h200 or a100");
}

}  // namespace
}  // namespace caprl
