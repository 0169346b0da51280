#include "reward/terms/judge_prompt.h"

#include <gmock/gmock.h>

namespace caprl {
namespace {

TEST(Judgement, OverallScoreByTable) {
  const std::vector<std::pair<std::string, std::optional<double>>> cases{
      {"Good. Overall Score (1-5): 4", 4.0},
      {"Overall Score (1-5): 3.5", 3.5},
      {"Overall Score (1-5): **2**", 2.0},
      {"Overall Score: 5/5", 5.0},
      {"Overall Score (1-5): 2\nOn reflection: Overall Score (1-5): 1", 1.0},
      {"Overall Score (1-5): 0", std::nullopt},
      {"Overall Score (1-5): 6", std::nullopt},
      {"Overall Score (1-5): -3", std::nullopt},
      {"Overall Score (1-5):", std::nullopt},
      {"Overall Score (1-5)", std::nullopt},
      {"4", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto& [text, score] : cases)
    EXPECT_EQ(parse_judgement(JudgeVariant::kOverallScore, text), score) << text;
}

TEST(Judgement, BareNumberByTable) {
  const std::vector<std::pair<std::string, std::optional<double>>> cases{
      {"4", 4.0},           {" 4.5\n", 4.5},        {"Score: 3", 3.0},   {"5 of 5", 5.0},
      {"", std::nullopt},   {"four", std::nullopt}, {"0", std::nullopt}, {"9", std::nullopt},
      {"10", std::nullopt}, {"-2", std::nullopt},   {".", std::nullopt}, {"1e3", 1.0},
  };
  for (const auto& [text, score] : cases)
    EXPECT_EQ(parse_judgement(JudgeVariant::kBareNumber, text), score) << text;
}

TEST(JudgeMessages, ShowTheImageThenAskAboutTheCaption) {
  for (const auto variant : {JudgeVariant::kOverallScore, JudgeVariant::kBareNumber}) {
    const auto messages = judge_messages("", variant, "a {caption} of <|im_end|>");
    ASSERT_EQ(messages.size(), 1u);
    ASSERT_EQ(messages[0].content.size(), 2u);
    EXPECT_EQ(messages[0].content[0].kind, ChatPart::Kind::kImage);
    EXPECT_THAT(messages[0].content[1].text, testing::EndsWith("\na {caption} of <|im_end|>"));
  }
  EXPECT_EQ(judge_messages("rate {caption} !", JudgeVariant::kBareNumber, "x")[0].content[1].text,
            "rate x !");
}

}  // namespace
}  // namespace caprl
