#include "train/diagnostics.h"

#include <gtest/gtest.h>

#include "support/tiny_run.h"

namespace caprl {
namespace {

/// Captions of one group by what they answered; the right answers are A, B, C, …; '-' is invalid.
CaptionGroup group(const std::vector<std::string>& given) {
  CaptionGroup group;
  for (const std::string& letters : given) {
    Caption& caption = group.captions.emplace_back();
    for (size_t q = 0; q < letters.size(); ++q) {
      AnswerRecord& answer = caption.reward.answers.emplace_back();
      answer.asked.text = "question " + std::to_string(q);
      answer.asked.right = static_cast<char>('A' + q);
      answer.given = letters[q];
      answer.valid = letters[q] != '-';
    }
  }
  return group;
}

TEST(QuestionMetrics, ByHand) {
  Metrics metrics;
  // Question A: A A A C; B: all wrong, two and two; C: all right of those valid.
  add_question_metrics({group({"ACC", "ACC", "ADC", "CD-"})}, metrics);
  EXPECT_DOUBLE_EQ(metrics.at("reward/question_agreement"), (0.75 + 0.5 + 1) / 3);
  EXPECT_DOUBLE_EQ(metrics.at("reward/questions_all_right"), 1.0 / 3);
  EXPECT_DOUBLE_EQ(metrics.at("reward/questions_none_right"), 1.0 / 3);
}

TEST(QuestionMetrics, NeedTheSameQuestionTwice) {
  Metrics metrics;
  CaptionGroup different = group({"A", "A"});
  different.captions[1].reward.answers[0].asked.text = "another one";
  add_question_metrics({different, group({"A"}), group({"A", "-"}), CaptionGroup{}}, metrics);
  EXPECT_TRUE(metrics.empty());
}

class LeakageTest : public TinyRun {};

TEST_F(LeakageTest, IsTheAccuracyOfAnEmptyCaption) {
  const GrpoConfig config = grpo("leak", 1);
  const RewardModel reward(config.reward, 1, at::kCPU);
  const auto tokenizer = Tokenizer::load(path("captioner"));
  const auto data = load_caption_rows({path("world/train.jsonl")}, BadRows::kStop, *tokenizer);
  std::vector<CaptionGroup> groups;
  int64_t right = 0, asked = 0;
  for (uint64_t i = 0; i < 8; ++i) {
    CaptionGroup& group = groups.emplace_back();
    group.row = &data.rows[i];
    group.prompt_id = i;
    const GroupToScore empty{i, &data.rows[i].questions, {{""}}, nullptr};
    const auto scores = reward.score({&empty, 1}, 0);
    right += scores[0][0].num_right;
    asked += scores[0][0].num_asked;
  }
  Metrics metrics;
  add_leakage(reward, Group(), groups, metrics);
  EXPECT_GT(asked, 20);
  EXPECT_EQ(metrics.at("val/reward/accuracy_without_caption"),
            static_cast<double>(right) / static_cast<double>(asked));
}

}  // namespace
}  // namespace caprl
