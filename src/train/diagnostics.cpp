#include "train/diagnostics.h"

#include <algorithm>
#include <map>

#include "caprl/core/excerpt.h"
#include "caprl/core/log.h"
#include "train/step_metrics.h"

namespace caprl {
namespace {

/// The answers of all captions to one question; nothing if they were not asked the same.
std::vector<const AnswerRecord*> answers_to(const CaptionGroup& group, size_t question) {
  std::vector<const AnswerRecord*> answers;
  for (const Caption& caption : group.captions) {
    if (question >= caption.reward.answers.size()) return {};
    const AnswerRecord& answer = caption.reward.answers[question];
    if (!answers.empty() && answer.asked.text != answers.front()->asked.text) return {};
    answers.push_back(&answer);
  }
  std::erase_if(answers, [](const AnswerRecord* answer) { return !answer->valid; });
  return answers;
}

int64_t most_frequent(const std::vector<const AnswerRecord*>& answers) {
  std::map<char, int64_t> counts;
  int64_t most = 0;
  for (const AnswerRecord* answer : answers) most = std::max(most, ++counts[answer->given]);
  return most;
}

/// The beginning of a caption on one line.
std::string beginning(const Caption& caption) {
  std::string text = excerpt(caption.text, 200);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

void add_question_metrics(const std::vector<CaptionGroup>& groups, Metrics& metrics) {
  Summary agreement, all_right, none_right;
  for (const CaptionGroup& group : groups) {
    if (group.captions.size() < 2) continue;
    for (size_t q = 0; q < group.captions.front().reward.answers.size(); ++q) {
      const auto answers = answers_to(group, q);
      if (answers.size() < 2) continue;
      const auto right = std::count_if(answers.begin(), answers.end(),
                                       [](const AnswerRecord* answer) { return answer->right(); });
      agreement.add(static_cast<double>(most_frequent(answers)) /
                    static_cast<double>(answers.size()));
      all_right.add(right == std::ssize(answers));
      none_right.add(right == 0);
    }
  }
  if (agreement.count() == 0) return;
  metrics["reward/question_agreement"] = agreement.mean();
  metrics["reward/questions_all_right"] = all_right.mean();
  metrics["reward/questions_none_right"] = none_right.mean();
}

void add_leakage(const RewardModel& reward, const Group& ranks,
                 const std::vector<CaptionGroup>& groups, Metrics& metrics) {
  std::vector<GroupToScore> empty;
  for (const CaptionGroup& group : groups)
    empty.push_back({group.prompt_id, &group.row->questions, {{}}, nullptr});
  double right = 0, asked = 0;
  for (const auto& captions : reward.answer(empty, 0)) {
    right += static_cast<double>(captions[0].num_right);
    asked += static_cast<double>(captions[0].num_asked);
  }
  double all_right = 0, all_asked = 0;
  for (const auto& numbers : gather_numbers(ranks, {right, asked})) {
    all_right += numbers[0];
    all_asked += numbers[1];
  }
  if (all_asked > 0) metrics["val/reward/accuracy_without_caption"] = all_right / all_asked;
}

void log_notable_captions(const std::vector<CaptionGroup>& groups) {
  constexpr int kMost = 3;
  const Caption* longest = nullptr;
  const CaptionGroup* longest_group = nullptr;
  int64_t num_zero = 0;
  for (const CaptionGroup& group : groups)
    for (const Caption& caption : group.captions) {
      if (!longest || caption.sampled.ids.size() > longest->sampled.ids.size()) {
        longest = &caption;
        longest_group = &group;
      }
      if (caption.reward.value && *caption.reward.value == 0 && num_zero++ < kMost)
        log_info("no reward for the caption of {}: {}", group.row->id, beginning(caption));
    }
  if (num_zero > kMost) log_info("no reward for {} captions more", num_zero - kMost);
  if (longest)
    log_info("the longest caption, {} tokens, of {}: {}", longest->sampled.ids.size(),
             longest_group->row->id, beginning(*longest));
}

}  // namespace caprl
