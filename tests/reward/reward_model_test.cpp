#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "caprl/core/error.h"
#include "reward/caption_reward.h"
#include "test_answerer.h"

namespace caprl {
namespace {

using Rewards = GroupScores;
using testing::HasSubstr;

void expect_same(const CaptionReward& a, const CaptionReward& b) {
  EXPECT_EQ(a.num_right, b.num_right);
  EXPECT_EQ(a.num_asked, b.num_asked);
  EXPECT_EQ(a.accuracy, b.accuracy);
  EXPECT_EQ(a.value, b.value);
  ASSERT_EQ(a.answers.size(), b.answers.size());
  for (size_t i = 0; i < a.answers.size(); ++i) {
    EXPECT_EQ(a.answers[i].asked.text, b.answers[i].asked.text);
    EXPECT_EQ(a.answers[i].output, b.answers[i].output);
    EXPECT_EQ(a.answers[i].given, b.answers[i].given);
    EXPECT_EQ(a.answers[i].valid, b.answers[i].valid);
    EXPECT_NEAR(a.answers[i].right_probability, b.answers[i].right_probability, 1e-5);
  }
}

// Checked by hand: right labels are B, A and C.
TEST(CaptionReward, ByTable) {
  Inquiry inquiry;
  for (size_t i = 0; i < 3; ++i)
    inquiry.questions.push_back(
        ask(some_questions()[i], static_cast<int64_t>(i), {}, {"none", "F"}));
  const auto valid = [](char given) { return Answer{true, std::string(1, given), given, 0.25}; };
  const Answer none{true, "no idea", 0, 0}, invalid{};
  struct Case {
    std::vector<Answer> answers;
    int64_t right, asked;
    std::optional<double> chosen, expected;
  };
  const std::vector<Case> cases{
      {{valid('B'), valid('A'), valid('C')}, 3, 3, 1.0, 0.25},
      {{valid('B'), valid('B'), valid('C')}, 2, 3, 2.0 / 3, 0.25},
      {{valid('F'), valid('F'), valid('F')}, 0, 3, 0.0, 0.25},
      {{valid('B'), none, valid('A')}, 1, 3, 1.0 / 3, 0.5 / 3},
      {{valid('B'), invalid, valid('A')}, 1, 2, 0.5, 0.25},
      {{invalid, valid('A'), invalid}, 1, 1, 1.0, 0.25},
      {{invalid, invalid, invalid}, 0, 0, std::nullopt, std::nullopt},
  };
  for (const Case& c : cases) {
    const CaptionReward reward = caption_reward(inquiry, c.answers, AnswerCredit::kChosen);
    EXPECT_EQ(reward.num_right, c.right);
    EXPECT_EQ(reward.num_asked, c.asked);
    EXPECT_EQ(reward.accuracy, c.chosen);
    EXPECT_EQ(caption_reward(inquiry, c.answers, AnswerCredit::kExpected).accuracy, c.expected);
    ASSERT_EQ(reward.answers.size(), 3u);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(reward.answers[i].valid, c.answers[i].valid);
  }
}

class RewardModelTest : public testing::TestWithParam<AnswerMode> {
 protected:
  Rewards score(const RewardConfig& config, uint64_t step = 3, uint64_t seed = 8) {
    return RewardModel(config, seed, at::kCPU).score(some_groups(), step);
  }
  RewardConfig config() const { return dir_.config(GetParam()); }
  AnswererDir dir_;
};

TEST_P(RewardModelTest, CountsWhatItRecords) {
  RewardConfig config = this->config();
  config.scale = 2;
  config.abstain_choice = "";
  const Rewards rewards = score(config);
  const auto groups = some_groups();
  int64_t total = 0;
  ASSERT_EQ(rewards.size(), groups.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    ASSERT_EQ(rewards[g].size(), groups[g].captions.size());
    for (const CaptionReward& reward : rewards[g]) {
      ASSERT_EQ(reward.answers.size(), 5u);
      int64_t right = 0;
      for (const AnswerRecord& answer : reward.answers) right += answer.given == answer.asked.right;
      EXPECT_EQ(reward.num_right, right);
      EXPECT_EQ(reward.num_asked, 5);
      EXPECT_EQ(reward.value, 2.0 * static_cast<double>(right) / 5);
      total += right;
    }
  }
  EXPECT_GT(total, 0);
}

TEST_P(RewardModelTest, RepeatsExactlyAndDependsOnSeedAndStep) {
  const Rewards first = score(config()), second = score(config());
  for (size_t g = 0; g < first.size(); ++g)
    for (size_t i = 0; i < first[g].size(); ++i) expect_same(first[g][i], second[g][i]);
  const auto questions = [](const Rewards& rewards) {
    std::string all;
    for (const AnswerRecord& answer : rewards[0][0].answers) all += answer.asked.text;
    return all;
  };
  EXPECT_NE(questions(score(config(), 4)), questions(first));
  EXPECT_NE(questions(score(config(), 3, 9)), questions(first));
}

TEST_P(RewardModelTest, BatchingDoesNotChangeRewards) {
  RewardConfig config = this->config();
  config.answerer.limits.max_num_batched_tokens = 60;
  const RewardModel model(config, 8, at::kCPU);
  const Rewards together = score(this->config());
  const auto groups = some_groups();
  for (size_t g = 0; g < groups.size(); ++g) {
    const auto alone = model.score({&groups[g], 1}, 3);
    for (size_t i = 0; i < alone[0].size(); ++i) expect_same(alone[0][i], together[g][i]);
  }
}

TEST_P(RewardModelTest, GroupsShareDrawsIfConfigured) {
  const auto texts = [](const CaptionReward& reward) {
    std::vector<std::string> result;
    for (const AnswerRecord& answer : reward.answers) result.push_back(answer.asked.text);
    return result;
  };
  const Rewards shared = score(config());
  EXPECT_EQ(texts(shared[0][0]), texts(shared[0][1]));
  EXPECT_NE(texts(shared[0][0]), texts(shared[1][0]));
  RewardConfig config = this->config();
  config.same_draws_in_group = false;
  const Rewards own = score(config);
  EXPECT_NE(texts(own[0][0]), texts(own[0][1]));
}

TEST_P(RewardModelTest, EmptyCaptionsAreAskedAbout) {
  const Rewards rewards = score(config());
  EXPECT_EQ(rewards[0][1].num_asked, 5);
  EXPECT_TRUE(rewards[0][1].value);
}

TEST_P(RewardModelTest, CaptionsBeyondTheContextAreInvalidNotZero) {
  const AnswererDir small(nlohmann::json{{"max_position_embeddings", 70}});
  RewardConfig config = small.config(GetParam());
  std::string caption;
  for (int i = 0; i < 70; ++i) caption += "red ";
  const std::vector<GroupToScore> groups{{1, &some_questions(), {{caption}, {"red"}}}};
  const auto rewards = RewardModel(config, 1, at::kCPU).score(groups, 1);
  EXPECT_FALSE(rewards[0][0].value);
  EXPECT_EQ(rewards[0][0].num_asked, 0);
  ASSERT_EQ(rewards[0][0].answers.size(), 5u);
  for (const AnswerRecord& answer : rewards[0][0].answers) {
    EXPECT_FALSE(answer.valid);
    EXPECT_FALSE(answer.right());
  }
  EXPECT_EQ(rewards[0][1].num_asked, 5);
  EXPECT_TRUE(rewards[0][1].value);
}

TEST_P(RewardModelTest, FaultsAreErrors) {
  const auto fault = [&](auto change) {
    RewardConfig config = this->config();
    change(config);
    return message_of<InputError>([&] { score(config); });
  };
  EXPECT_THAT(
      fault([](auto& c) { c.answerer.dtype = "int8"; }),
      HasSubstr("'reward.answerer.dtype': expected float32, bfloat16 or float64, got 'int8'"));
  EXPECT_THAT(fault([](auto& c) { c.answerer.model = "/nowhere"; }), HasSubstr("/nowhere"));
  EXPECT_THAT(fault([](auto& c) { c.answerer.prompt = "{caption}"; }), HasSubstr("{question}"));
  for (const char* label : {"J", "f", "EF", "1"})
    EXPECT_THAT(
        fault([&](auto& c) { c.abstain_label = label; }),
        HasSubstr(std::string("'reward.abstain_label': expected a letter from A to I, got '") +
                  label));
  const std::vector<Question> none;
  const GroupToScore group{4, &none, {{"red"}}};
  const RewardModel model(config(), 1, at::kCPU);
  EXPECT_EQ(message_of<Error>([&] {
              model.score({&group, 1}, 1);
            }),
            "[reward] prompt 4 has no questions");
}

INSTANTIATE_TEST_SUITE_P(Modes, RewardModelTest,
                         testing::Values(AnswerMode::kSample, AnswerMode::kLetterLogits),
                         [](const auto& info) {
                           return info.param == AnswerMode::kSample ? "Sample" : "LetterLogits";
                         });

TEST(RewardModel, EqualCaptionsGetEqualAnswersInLetterMode) {
  const AnswererDir dir;
  const RewardConfig config = dir.config(AnswerMode::kLetterLogits);
  const auto rewards = RewardModel(config, 8, at::kCPU).score(some_groups(), 3);
  expect_same(rewards[0][0], rewards[0][3]);
}

TEST(RewardConfig, EveryKeyIsReadFromYaml) {
  const AnswererDir dir;
  RewardConfig config;
  config.answerer = {"m",
                     {{"http://a:1"}, 2, 3, {}, {}},
                     "bfloat16",
                     7,
                     AnswerMode::kLetterLogits,
                     0.1,
                     0.2,
                     3,
                     {},
                     "c",
                     "s",
                     "p",
                     "a",
                     AnswerCredit::kExpected};
  config.draw = QuestionDraw::kAll;
  config.qa_num = 6;
  config.shuffle_choices = true;
  config.same_draws_in_group = false;
  config.abstain_choice = "none";
  config.abstain_label = "F";
  config.scale = 7;
  config.normalize_terms = true;
  config.shuffle_rewards = true;
  const std::string yaml = config_to_yaml(config);
  write_file_atomic(dir.path() / "reward.yaml", yaml);
  RewardConfig read;
  load_config(dir.path() / "reward.yaml", {}, read);
  EXPECT_EQ(config_to_yaml(read), yaml);
  EXPECT_NE(config_to_yaml(RewardConfig{}), yaml);
  EXPECT_EQ(read.answerer.mode, AnswerMode::kLetterLogits);
  EXPECT_EQ(read.draw, QuestionDraw::kAll);
}

}  // namespace
}  // namespace caprl
