// Which questions a caption is asked, and in which order their options stand.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "caprl/reward/question.h"
#include "caprl/reward/reward.h"

namespace caprl {

/// What a draw is for. A draw's random numbers are addressed by (seed, step, prompt id, sample,
/// number of the draw).
struct DrawKey {
  uint64_t seed = 0;
  uint64_t step = 0;
  uint64_t prompt_id = 0;
  uint64_t sample = 0;
};

/// `config.qa_num` draws with replacement (CapRL, eq. 3) or each question once; options permuted
/// with `config.shuffle_choices`. Needs at least one question.
std::vector<AskedQuestion> draw_questions(std::span<const Question> questions,
                                          const RewardConfig& config, const DrawKey& key);

}  // namespace caprl
