#include "reward/draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace caprl {
namespace {

const std::vector<Question> kQuestions{
    {"one ?", {"a", "b", "c", "d"}, 1}, {"two ?", {"a", "b"}, 0}, {"three ?", {"a", "b", "c"}, 2}};

RewardConfig with_replacement(int64_t qa_num, bool shuffle) {
  RewardConfig config;
  config.qa_num = qa_num;
  config.shuffle_choices = shuffle;
  return config;
}

std::vector<std::string> texts(const std::vector<AskedQuestion>& asked) {
  std::vector<std::string> result;
  for (const AskedQuestion& question : asked) result.push_back(question.text);
  return result;
}

TEST(DrawQuestions, IsAPureFunctionOfItsKey) {
  const RewardConfig config = with_replacement(8, true);
  const auto draw = [&](const DrawKey& key) {
    return texts(draw_questions(kQuestions, config, key));
  };
  const auto first = draw({1, 2, 3, 4});
  EXPECT_EQ(first.size(), 8u);
  EXPECT_EQ(draw({1, 2, 3, 4}), first);
  const std::set<std::vector<std::string>> all{first, draw({9, 2, 3, 4}), draw({1, 9, 3, 4}),
                                               draw({1, 2, 9, 4}), draw({1, 2, 3, 9})};
  EXPECT_EQ(all.size(), 5u);
}

TEST(DrawQuestions, MoreDrawsBeginWithTheSameOnes) {
  auto few = texts(draw_questions(kQuestions, with_replacement(3, true), {1, 1, 1, 0}));
  auto many = texts(draw_questions(kQuestions, with_replacement(9, true), {1, 1, 1, 0}));
  many.resize(3);
  EXPECT_EQ(few, many);
}

TEST(DrawQuestions, AllAsksEachQuestionOnceInOrder) {
  RewardConfig config = with_replacement(8, false);
  config.draw = QuestionDraw::kAll;
  const auto asked = draw_questions(kQuestions, config, {1, 1, 1, 0});
  ASSERT_EQ(asked.size(), 3u);
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(asked[i].question, i);
    EXPECT_TRUE(asked[i].order.empty());
  }
  EXPECT_EQ(asked[0].text, "one ?\nA) a\nB) b\nC) c\nD) d");
  EXPECT_EQ(asked[2].right, 'C');
}

TEST(DrawQuestions, UnshuffledOptionsStayAsWritten) {
  for (const AskedQuestion& asked :
       draw_questions(kQuestions, with_replacement(20, false), {1, 1, 1, 0}))
    EXPECT_EQ(asked.right, static_cast<char>('A' + kQuestions[asked.question].answer));
}

// Chi-square's 99.9 % quantiles: 13.82 for 2 degrees of freedom, 49.73 for 23.
TEST(DrawQuestions, QuestionsAndOrdersAreUniform) {
  std::map<int64_t, double> questions;
  std::map<std::vector<int64_t>, double> orders;
  double asked_first = 0;
  for (uint64_t step = 0; step < 2000; ++step)
    for (const AskedQuestion& asked :
         draw_questions(kQuestions, with_replacement(8, true), {3, step, 5, 0})) {
      ++questions[asked.question];
      if (asked.question != 0) continue;
      ++orders[asked.order];
      ++asked_first;
    }
  const auto chi_square = [](const auto& counts, double expected) {
    double sum = 0;
    for (const auto& [key, count] : counts)
      sum += (count - expected) * (count - expected) / expected;
    return sum;
  };
  EXPECT_EQ(questions.size(), 3u);
  EXPECT_LT(chi_square(questions, 16000.0 / 3), 13.82);
  EXPECT_EQ(orders.size(), 24u);
  EXPECT_LT(chi_square(orders, asked_first / 24), 49.73);
}

}  // namespace
}  // namespace caprl
