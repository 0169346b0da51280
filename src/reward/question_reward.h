// Captions to right answers: draws questions, asks the answerer, counts.
#pragma once
#include <memory>
#include <span>

#include "answerer.h"
#include "caprl/models/model.h"
#include "caprl/reward/reward.h"

namespace caprl {

class QuestionReward {
 public:
  /// Loads the answerer; errors as RewardModel.
  QuestionReward(const RewardConfig& config, uint64_t seed, at::Device device, const Group& ranks);

  /// Answers, counts and accuracies; see RewardModel::score.
  GroupScores score(std::span<const GroupToScore> groups, uint64_t step) const;
  const Answerer& answerer() const { return *answerer_; }

 private:
  /// Equal captions with equal questions get equal answers from the deterministic mode, so they are
  /// asked once.
  bool asks_equal_captions_once() const;

  const RewardConfig& config_;
  uint64_t seed_;
  std::unique_ptr<Model> model_;  // null with servers
  std::unique_ptr<Answerer> answerer_;
};

}  // namespace caprl
