// Memory by phase, and what makes it less, against arithmetic done by hand.
#include "caprl/train/memory_plan.h"

#include <gmock/gmock.h>

#include <cmath>

namespace caprl {
namespace {

using testing::Contains;
using testing::ElementsAre;

/// Round numbers: 1e9 weights in bf16, an answerer of as many, little else. A token's activations
/// are 2 MB, a tenth of it with recomputation.
StepPlan round_plan() {
  StepPlan plan;
  plan.policy.weights = plan.answerer.weights = 1e9;
  plan.policy.pass = [](const PassShape& shape, const PassSetting& setting) {
    PassMemory memory;
    memory.training.kept =
        shape.tokens() * 2e6 / (setting.recompute == ops::Recompute::kNone ? 1 : 10);
    return memory;
  };
  plan.policy.vocab = plan.answerer.vocab = 1e5;
  plan.policy.layers = 10;
  plan.policy.kv_values = plan.answerer.kv_values = 1e4;
  plan.micro_tokens = 16384;
  plan.loss_chunk_tokens = 2048;
  plan.bucket_bytes = 0;
  plan.images = 16;
  plan.group = 8;
  plan.questions = 8;
  plan.answer_tokens = 10;
  plan.most_samples = plan.most_inquiries = 100;
  plan.lengths = {.prompt = 800,
                  .completion = 400,
                  .longest_completion = 900,
                  .spread = 0,
                  .question = 90,
                  .instruction = 300};
  return plan;
}

TEST(MemoryPlan, PhasesByHand) {
  StepPlan plan = round_plan();
  const auto phases = memory_by_phase(plan, 1);
  ASSERT_EQ(phases.size(), 3u);
  for (const PhaseMemory& phase : phases) {
    EXPECT_DOUBLE_EQ(phase.weights, 4e9);
    EXPECT_DOUBLE_EQ(phase.gradients, 4e9);
    EXPECT_DOUBLE_EQ(phase.optimizer, 12e9);
    EXPECT_DOUBLE_EQ(phase.working, phase.parts[0].bytes + phase.parts[1].bytes);
  }
  // Two pages of 16 tokens for each sample beside its tokens, one for each prompt; 1e4 values of
  // two bytes each; and logits of 100 samples.
  const double page = 16, token = 2e4;
  EXPECT_EQ(phases[0].phase, "gen");
  EXPECT_EQ(phases[0].parts[0].what, "keys and values");
  EXPECT_NEAR(phases[0].parts[0].bytes, token * 16 * (800 + page + 8 * (900 + 2 * page)),
              page * token);
  EXPECT_DOUBLE_EQ(phases[0].parts[1].bytes, 100 * 1e5 * 4);
  EXPECT_EQ(phases[1].phase, "reward");
  EXPECT_NEAR(phases[1].parts[0].bytes, token * 128 * (300 + 400 + page + 8 * (90 + 10 + 2 * page)),
              page * token);
  EXPECT_EQ(phases[2].phase, "update");
  EXPECT_EQ(phases[2].parts[0].what, "activations that are kept");
  // Four groups of 4,000 tokens, 3,200 of them scored: logits, 32 bytes a scored token, and the
  // 32 MiB that a product takes.
  EXPECT_NEAR(phases[2].parts[0].bytes, 16000 * 2e6, 1);
  EXPECT_NEAR(phases[2].parts[1].bytes, 2048 * 1e5 * 4 + 4 * 3200 * 32 + (32 << 20), 1);
  EXPECT_DOUBLE_EQ(peak_memory(plan, 1), phases[2].total());
}

/// 800 + 8 · 2,500 tokens, which are not cut.
TEST(MemoryPlan, AGroupThatIsLongerThanTheBudgetCounts) {
  StepPlan plan = round_plan();
  plan.lengths.completion = plan.lengths.longest_completion = 2500;
  EXPECT_NEAR(memory_by_phase(plan, 1)[2].parts[0].bytes, (800 + 8 * 2500) * 2e6, 1);
}

TEST(MemoryPlan, CaptionsMayAllBeOfTheLongest) {
  StepPlan plan = round_plan();
  plan.response_length = 2500;
  plan.lengths.spread = 0.5;
  EXPECT_NEAR(memory_by_phase(with_longest_captions(plan), 1)[2].parts[0].bytes,
              (800 + 8 * 2500) * 2e6, 1);
}

/// Sums of eight lengths of mean 400 and deviation 200 deviate by 566; of 32 by 1,131.
TEST(MemoryPlan, GroupsOfLongCaptionsFillTheBudget) {
  StepPlan plan = round_plan();
  plan.lengths.spread = 0.5;
  const auto kept = [&] { return memory_by_phase(plan, 1)[2].parts[0].bytes / 2e6; };
  EXPECT_NEAR(kept(), 16384, 1e-3);
  plan.micro_tokens = 20000;  // five groups
  EXPECT_NEAR(kept(), 20000, 1e-3);
  plan.micro_tokens = 7000;
  EXPECT_NEAR(kept(), 4000 + 2 * 200 * std::sqrt(8.0), 1e-3);
}

/// Two images of 4,000 tokens each are less than a budget of 16,384.
TEST(MemoryPlan, ARankHasNoMoreTokensThanItsShare) {
  EXPECT_NEAR(memory_by_phase(round_plan(), 8)[2].parts[0].bytes, 2 * 4000 * 2e6, 1);
}

TEST(MemoryPlan, TheAnswererAndTheJudgeTakeTurns) {
  StepPlan plan = round_plan();
  const auto before = memory_by_phase(plan, 1);
  plan.judge.size.weights = 2e9;
  plan.judge.size.kv_values = 1e4;
  plan.judge.size.vocab = 1e5;
  plan.judge.new_tokens = 5000;
  const auto after = memory_by_phase(plan, 1);
  EXPECT_DOUBLE_EQ(after[0].weights, before[0].weights + 4e9);
  EXPECT_EQ(before[1].parts[0].what, "the answerer's keys and values");
  EXPECT_EQ(after[1].parts[0].what, "the judge's keys and values");
}

TEST(MemoryPlan, ACpuHoldsPicturesAndWhatIsSaved) {
  StepPlan plan = round_plan();
  plan.on_gpu = false;
  plan.prefetch = plan.copies = true;
  plan.policy.columns = 1000;
  const PhaseMemory gen = memory_by_phase(plan, 1)[0];
  const auto of = [&](const char* what) {
    for (const MemoryPart& part : gen.parts)
      if (part.what == what) return part.bytes;
    return 0.0;
  };
  EXPECT_DOUBLE_EQ(of("pictures"), 2 * 16 * 1250 * 4 * 1000 * 4.0);
  // Weights, master weights and two moments, and the rank's weights as they are.
  EXPECT_DOUBLE_EQ(of("a checkpoint's copy"), 1e9 * (2 + 12 + 2));
}

TEST(MemoryPlan, TheLeastChangeThatFits) {
  const StepPlan plan = round_plan();  // 20 GB, and 32 + 0.8 GB of the update
  EXPECT_FALSE(fit_by_settings(plan, 60e9, 1));
  const auto chunk = fit_by_settings(plan, 52.5e9, 1);
  ASSERT_TRUE(chunk);
  EXPECT_THAT(chunk->settings, ElementsAre("train.loss_chunk_tokens=1024"));
  EXPECT_LE(chunk->bytes, 52.5e9);
  const auto micro = fit_by_settings(plan, 40e9, 1);
  ASSERT_TRUE(micro);
  EXPECT_THAT(micro->settings, ElementsAre("train.micro_tokens=8192"));
  // A pass holds one group at least, of 4,000 tokens.
  const auto again = fit_by_settings(plan, 25e9, 1);
  ASSERT_TRUE(again);
  EXPECT_THAT(again->settings,
              ElementsAre("train.micro_tokens=4096", "train.gradient_checkpointing=mlp"));
  // Each phase by what it holds: the answerer's keys and values are 4.5 GB.
  const auto answers = fit_by_settings(plan, 24e9, 1);
  ASSERT_TRUE(answers);
  EXPECT_THAT(answers->settings, Contains("reward.answerer.kv_cache_gb=3"));
  // Master weights and moments are 12 GB of the 20.
  const auto offloaded = fit_by_settings(plan, 20e9, 1);
  ASSERT_TRUE(offloaded);
  EXPECT_THAT(offloaded->settings, Contains("optimizer.offload=true"));
  EXPECT_LE(offloaded->bytes, 20e9);
  EXPECT_FALSE(fit_by_settings(plan, 8e9, 1));
}

TEST(MemoryPlan, KeysAndValuesTakeTheRoomThereIs) {
  StepPlan plan = round_plan();
  plan.lengths.prompt = 100;
  plan.lengths.completion = 100;
  plan.lengths.longest_completion = 100;
  plan.micro_tokens = 1024;
  plan.response_length = 9900;
  const auto fitting = fit_by_settings(plan, 30.5e9, 1);
  ASSERT_TRUE(fitting);
  EXPECT_THAT(fitting->settings, ElementsAre("rollout.kv_cache_gb=10"));
  EXPECT_NEAR(fitting->bytes, 30e9, 0.1e9);
  // Half of what is free, if nothing is said and the device is known.
  plan.device_memory = 30e9;
  EXPECT_DOUBLE_EQ(memory_by_phase(plan, 1)[0].parts[0].bytes, 5e9);
}

TEST(MemoryPlan, RanksShareGradientsAndOptimizer) {
  StepPlan plan = round_plan();
  plan.lengths.prompt = plan.lengths.completion = plan.lengths.longest_completion = 100;
  plan.lengths.instruction = 100;
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
