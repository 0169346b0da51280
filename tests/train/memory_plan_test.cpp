// Memory by phase, and what makes it less, against arithmetic done by hand.
#include "caprl/train/memory_plan.h"

#include <gmock/gmock.h>

namespace caprl {
namespace {

using testing::ElementsAre;

/// Round numbers: 1e9 weights in bf16, an answerer of as many, little else.
StepPlan round_plan() {
  StepPlan plan;
  plan.policy.weights = plan.answerer.weights = 1e9;
  plan.policy.activations = 1e6;  // values of a token
  plan.policy.vocab = 1e5;
  plan.policy.layers = 10;
  plan.policy.kv_values = plan.answerer.kv_values = 1e4;
  plan.micro_tokens = 16384;
  plan.loss_chunk_tokens = 2048;
  plan.bucket_bytes = 0;
  plan.images = 16;
  plan.group = 8;
  plan.questions = 8;
  plan.answer_tokens = 10;
  plan.most_inquiries = 100;
  plan.lengths = {.prompt = 800, .completion = 400, .longest_completion = 900, .question = 90};
  return plan;
}

TEST(MemoryPlan, PhasesByHand) {
  const auto phases = memory_by_phase(round_plan(), 1);
  ASSERT_EQ(phases.size(), 3u);
  for (const PhaseMemory& phase : phases) {
    EXPECT_DOUBLE_EQ(phase.weights, 4e9);
    EXPECT_DOUBLE_EQ(phase.gradients, 4e9);
    EXPECT_DOUBLE_EQ(phase.optimizer, 12e9);
  }
  EXPECT_EQ(phases[0].phase, "gen");
  EXPECT_DOUBLE_EQ(phases[0].working, 128 * 1e4 * 2 * (800.0 / 8 + 900));
  EXPECT_EQ(phases[1].phase, "reward");
  EXPECT_DOUBLE_EQ(phases[1].working, 100 * 1e4 * 2 * (400.0 / 8 + 90 + 10));
  EXPECT_EQ(phases[2].phase, "update");
  EXPECT_DOUBLE_EQ(phases[2].working, 16384 * 1e6 * 2 + 2048 * 1e5 * 4);
  EXPECT_DOUBLE_EQ(peak_memory(round_plan(), 1), phases[2].total());
}

TEST(MemoryPlan, TheLeastChangeThatFits) {
  const StepPlan plan = round_plan();  // 20 GB, and 32.8 + 0.8 GB of the update
  EXPECT_FALSE(fit_by_settings(plan, 60e9, 1));
  const auto chunk = fit_by_settings(plan, 53.3e9, 1);
  ASSERT_TRUE(chunk);
  EXPECT_THAT(chunk->settings, ElementsAre("train.loss_chunk_tokens=1024"));
  EXPECT_LE(chunk->bytes, 53.3e9);
  const auto micro = fit_by_settings(plan, 40e9, 1);
  ASSERT_TRUE(micro);
  EXPECT_THAT(micro->settings,
              ElementsAre("train.loss_chunk_tokens=256", "train.micro_tokens=8192"));
  // A pass holds one group at least, of 4,000 tokens: of them a layer's activations, in the end.
  const auto again = fit_by_settings(plan, 24e9, 1);
  ASSERT_TRUE(again);
  EXPECT_THAT(again->settings, ElementsAre("train.loss_chunk_tokens=256", "train.micro_tokens=4096",
                                           "train.gradient_checkpointing=full"));
  EXPECT_FALSE(fit_by_settings(plan, 20e9, 1));
}

TEST(MemoryPlan, KeysAndValuesTakeTheRoomThereIs) {
  StepPlan plan = round_plan();
  plan.micro_tokens = 1024;
  plan.lengths.longest_completion = 9900;  // 25.6 GB of keys and values
  const auto fitting = fit_by_settings(plan, 30.5e9, 1);
  ASSERT_TRUE(fitting);
  EXPECT_THAT(fitting->settings, ElementsAre("rollout.kv_cache_gb=10"));
  EXPECT_DOUBLE_EQ(fitting->bytes, 30e9);
}

TEST(MemoryPlan, RanksShareGradientsAndOptimizer) {
  StepPlan plan = round_plan();
  plan.micro_tokens = 1024;
  plan.zero_stage = 0;
  const auto fitting = fit_by_ranks(plan, 12e9, 1);
  ASSERT_TRUE(fitting);
  EXPECT_EQ(fitting->ranks, 4);  // 4 + 16 / 4 + 2.9 GB
  EXPECT_THAT(fitting->settings, ElementsAre("parallel.zero_stage=2"));
  plan.images = 6;  // 4 processes cannot share them
  EXPECT_FALSE(fit_by_ranks(plan, 12e9, 1));
  EXPECT_FALSE(fit_by_ranks(plan, 1e9, 1));
}

}  // namespace
}  // namespace caprl
