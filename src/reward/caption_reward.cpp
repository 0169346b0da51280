#include "caption_reward.h"

#include "caprl/reward/group_values.h"

namespace caprl {
namespace {

constexpr double kEpsilon = 1e-6;  // added to standard deviations

/// A summand of the reward: its values of one group, and its weight.
struct Part {
  std::vector<std::optional<double>> values;
  double weight = 1;
};

std::optional<double> weighted_sum(const std::vector<Part>& parts, size_t caption) {
  double sum = 0;
  for (const Part& part : parts) {
    if (!part.values[caption]) return std::nullopt;
    sum += part.weight * *part.values[caption];
  }
  return sum;
}

}  // namespace

CaptionReward caption_reward(const Inquiry& inquiry, const std::vector<Answer>& answers,
                             AnswerCredit credit) {
  CaptionReward reward;
  double expected = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const Answer& answer = answers[i];
    reward.answers.push_back({inquiry.questions[i], answer.output, answer.given, answer.valid,
                              answer.right_probability});
    reward.num_asked += answer.valid;
    reward.num_right += reward.answers.back().right();
    if (answer.valid) expected += answer.right_probability;
  }
  if (reward.num_asked == 0) return reward;
  const double credits =
      credit == AnswerCredit::kExpected ? expected : static_cast<double>(reward.num_right);
  reward.accuracy = credits / static_cast<double>(reward.num_asked);
  return reward;
}

void add_terms(const RewardConfig& config, std::span<const TermValues> values,
               GroupScores& scores) {
  const auto active = config.terms.active();
  for (size_t g = 0; g < scores.size(); ++g) {
    std::vector<Part> parts;
    if (config.scale != 0) {
      Part& accuracy = parts.emplace_back();
      accuracy.weight = config.scale;
      for (const CaptionReward& caption : scores[g]) accuracy.values.push_back(caption.accuracy);
    }
    for (size_t t = 0; t < active.size(); ++t) {
      parts.push_back({values[t][g], active[t]->weight()});
      for (size_t i = 0; i < scores[g].size(); ++i)
        scores[g][i].terms.push_back({std::string(active[t]->name()), values[t][g][i]});
    }
    if (config.normalize_terms)
      for (Part& part : parts) part.values = standardise(part.values, kEpsilon);
    for (size_t i = 0; i < scores[g].size(); ++i) scores[g][i].value = weighted_sum(parts, i);
  }
}

}  // namespace caprl
