// From answers to the reward of a caption.
#pragma once
#include <span>

#include "answerer.h"
#include "caprl/reward/reward.h"

namespace caprl {

/// Answers, counts and accuracy. Invalid answers are recorded and left out of counts and accuracy.
CaptionReward caption_reward(const Inquiry& inquiry, const std::vector<Answer>& answers,
                             AnswerCredit credit);

/// Fills terms and value: scale · accuracy + Σ weight · term, each standardised within its group
/// first with normalize_terms. `values` are of the active terms, in order.
void add_terms(const RewardConfig& config, std::span<const TermValues> values, GroupScores& scores);

}  // namespace caprl
