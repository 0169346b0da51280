#include <optional>

#include "caprl/reward/reward.h"
#include "caption_reward.h"
#include "question_reward.h"

namespace caprl {

struct RewardModel::Impl {
  RewardConfig config;
  std::optional<QuestionReward> questions;

  Impl(RewardConfig given, uint64_t seed, at::Device device, const Group& ranks)
      : config(std::move(given)) {
    config.validate();
    if (config.asks_questions()) questions.emplace(config, seed, device, ranks);
    config.terms.open({seed, device});
  }

  GroupScores answered(std::span<const GroupToScore> groups, uint64_t step) const {
    if (questions) return questions->score(groups, step);
    GroupScores scores;
    for (const GroupToScore& group : groups) scores.emplace_back(group.captions.size());
    return scores;
  }
};

RewardModel::RewardModel(RewardConfig config, uint64_t seed, at::Device device, const Group& ranks)
    : impl_(std::make_unique<Impl>(std::move(config), seed, device, ranks)) {}
RewardModel::~RewardModel() = default;

GroupScores RewardModel::answer(std::span<const GroupToScore> groups, uint64_t step) const {
  return impl_->answered(groups, step);
}

GroupScores RewardModel::score(std::span<const GroupToScore> groups, uint64_t step) const {
  GroupScores scores = impl_->answered(groups, step);
  std::vector<TermValues> values;
  for (const RewardTerm* term : impl_->config.terms.active())
    values.push_back(term->score(groups, scores, step));
  add_terms(impl_->config, values, scores);
  return scores;
}

}  // namespace caprl
