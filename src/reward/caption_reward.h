// From answers to the reward of a caption.
#pragma once
#include "answerer.h"
#include "caprl/reward/reward.h"

namespace caprl {

/// Invalid answers are recorded and left out of the counts.
CaptionReward caption_reward(const Inquiry& inquiry, const std::vector<Answer>& answers,
                             double scale);

}  // namespace caprl
