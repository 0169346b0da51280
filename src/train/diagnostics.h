// What the questions and the captions of a step say about the reward itself.
#pragma once
#include <vector>

#include "caprl/core/metrics.h"
#include "caprl/dist/group.h"
#include "caprl/reward/reward.h"
#include "caprl/train/rollout.h"

namespace caprl {

/// Of groups whose captions were asked the same questions: reward/question_agreement, the mean
/// share of captions that give a question's most frequent answer; reward/questions_all_right and
/// reward/questions_none_right, the shares of questions that every caption, or none, gets right.
/// Nothing if no question was put to two captions.
void add_question_metrics(const std::vector<CaptionGroup>& groups, Metrics& metrics);

/// val/reward/accuracy_without_caption: how many of the groups' questions are answered right from
/// an empty caption; what is above chance leaks from questions and options. Of all ranks' groups.
void add_leakage(const RewardModel& reward, const Group& ranks,
                 const std::vector<CaptionGroup>& groups, Metrics& metrics);

/// Logs the longest caption and a few that earned nothing.
void log_notable_captions(const std::vector<CaptionGroup>& groups);

}  // namespace caprl
