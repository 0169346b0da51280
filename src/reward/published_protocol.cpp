#include "published_protocol.h"

#include "caption_reward.h"
#include "draw.h"

namespace caprl {

std::vector<Inquiry> draw_inquiries(std::span<const WireCaption> captions,
                                    const RewardConfig& config, uint64_t seed) {
  std::vector<Inquiry> inquiries;
  for (const WireCaption& caption : captions)
    inquiries.push_back({caption.caption,
                         draw_questions(caption.questions, config, {seed, 0, caption.id, 0}),
                         caption.id,
                         0,
                         {seed, 0}});
  return inquiries;
}

std::vector<std::optional<double>> rewards_of(std::span<const Inquiry> inquiries,
                                              std::span<const std::vector<Answer>> answers,
                                              const RewardConfig& config) {
  std::vector<GroupToScore> groups;
  GroupScores scores;
  for (size_t i = 0; i < inquiries.size(); ++i) {
    groups.push_back({inquiries[i].prompt_id, nullptr, {{inquiries[i].caption}}});
    scores.push_back({caption_reward(inquiries[i], answers[i], config.answerer.credit)});
  }
  std::vector<TermValues> values;
  for (const RewardTerm* term : config.terms.active())
    values.push_back(term->score(groups, scores, 0));
  add_terms(config, values, scores);
  std::vector<std::optional<double>> rewards;
  for (const auto& caption : scores) rewards.push_back(caption[0].value);
  return rewards;
}

}  // namespace caprl
