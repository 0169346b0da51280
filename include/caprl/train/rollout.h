// What one step of GRPO works on: groups of captions, from sampling to advantage.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "caprl/data/rows.h"
#include "caprl/generation/generator.h"
#include "caprl/reward/reward.h"
#include "caprl/text/tokenizer.h"

namespace caprl {

struct Caption {
  GeneratedSequence sampled;
  std::string text;
  CaptionReward reward;
  double advantage = 0;
};

/// One image and the G captions sampled for it.
struct CaptionGroup {
  const CaptionRow* row = nullptr;
  uint64_t prompt_id = 0;  // place in the run's endless sequence of rows
  Prompt prompt;           // of another rank's group without its images, unless it is trained here
  std::vector<Caption> captions;
  int trained_by = 0;  // rank
};

/// Fills captions from the policy: n a group. `params.stop_ids` and `banned_ids` are the caller's.
GenerationStats sample_captions(const Model& policy, const class PromptBuilder& prompts, int64_t n,
                                const SamplingParams& params, const GenerationLimits& limits,
                                std::vector<CaptionGroup>& groups);

/// Fills rewards from the answerer.
void score_captions(const RewardModel& reward, uint64_t step, std::vector<CaptionGroup>& groups);

/// The control experiment: permutes the rewards between all captions of the step.
void shuffle_rewards(uint64_t seed, uint64_t step, std::vector<CaptionGroup>& groups);

/// RUN/rollouts/step_000120.jsonl.zst: one line a caption with its image, text, tokens and their
/// log-probabilities, what was asked and answered, reward and advantage.
void write_rollouts(const std::filesystem::path& file, int64_t step,
                    const std::vector<CaptionGroup>& groups, const Tokenizer& tokenizer);

}  // namespace caprl
