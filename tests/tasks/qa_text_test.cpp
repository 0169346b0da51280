// Questions in what models write, and the option in what they answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "caprl/io/json.h"
#include "support/errors.h"
#include "tasks/qa/extract.h"
#include "tasks/qa/finish.h"
#include "tasks/qa/items.h"
#include "tasks/qa/letter.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

/// "What? [red|blue|green] 1"
std::string summary(const Question& question) {
  std::string text = question.text + " [";
  for (size_t i = 0; i < question.choices.size(); ++i) text += (i ? "|" : "") + question.choices[i];
  return text + fmt::format("] {}", question.answer);
}

std::vector<std::string> found(std::string_view text) {
  const Extraction extraction = extract_questions(text);
  std::vector<std::string> all;
  for (const Question& question : extraction.questions) all.push_back(summary(question));
  for (const auto& malformed : extraction.malformed)
    all.push_back(fmt::format("{}: {}", malformed.number, malformed.reason));
  return all;
}

const std::string kExpected = "What is it? [a dog|a cat] 1";

TEST(QaExtract, ThePublishedTemplate) {
  EXPECT_THAT(found(R"(Here are your questions:

#### 1. **What is it?**
- A) a dog
- B) a cat
- C) a cow
- D) a hen

**Answer:** B) a cat

#### 2. **How many legs are there?**
- A) 1
- B) 2
- C) 3
- D) 4

**Answer:** D) 4
)"),
              ElementsAre("What is it? [a dog|a cat|a cow|a hen] 1",
                          "How many legs are there? [1|2|3|4] 3"));
}

TEST(QaExtract, WhatModelsMakeOfIt) {
  for (const char* text : {
           "1. What is it?\nA. a dog\nB. a cat\nAnswer: B",
           "**1. What is it?**\n   (a) a dog\n   (b) a cat\n*  **Correct answer**: (B)",
           "Question 1: What is it?\r\n\r\nA) a dog\r\nB) a cat\r\n\r\nAnswer: b) A cat.\r\n",
           "**Question 1**\nWhat is it?\n* **A)** a dog\n* **B)** a cat\n**Answer: B**",
           "Q1. What is it?\nA: a dog\nB: a cat\nThe correct answer is B.",
           "### 1)\n**What is it?**\n- A) **a dog**\n- B) **a cat**\n\n**Answer:** **B) a cat**",
           "What is it?\nA) a dog\nB) a cat\nAnswer: a cat",
           "1、What is it?\nA．a dog\nB、a cat\n答案：B",
           "1. What is it?\nA) a dog B) a cat\nAnswer: B",
           "## Questions\n\n1. What is it?\n\n- A) a dog\n\n- B) a cat\n\n---\n**Answer:** B\n---",
       })
    EXPECT_THAT(found(text), ElementsAre(kExpected)) << text;
}

TEST(QaExtract, LinesThatGoOn) {
  EXPECT_THAT(found("1. Which is true of\n1. red and\n2. blue things?\nA) they\nare big\nB) not\n"
                    "Answer: A\nExplanation: they are. A) is right.\n\n2. And?\nA) x\nB) y\n"
                    "Answer: B\nThat is all."),
              ElementsAre("Which is true of\n1. red and\n2. blue things? [they\nare big|not] 0",
                          "And? [x|y] 1"));
  EXPECT_THAT(found("What is 2**3?\nA) 2**2\nB) 8\nAnswer: B\nBecause.\n\nWhat is ____?\nA) 1.5\n"
                    "B) 3\nAnswer: A"),
              ElementsAre("What is 2**3? [2**2|8] 1", "What is ____? [1.5|3] 0"));
}

TEST(QaExtract, EveryDefectIsSaid) {
  const std::string good = "\n1. What is it?\nA) a dog\nB) a cat\nAnswer: B\n";
  const auto reason = [&](const std::string& text) {
    const auto all = found(good + text);
    EXPECT_EQ(all.front(), kExpected) << text;
    return all.size() == 2 ? all[1] : fmt::format("{} results", all.size());
  };
  EXPECT_THAT(reason("2. Why?\nA) x\nB) y\n"), HasSubstr("2: it has no answer"));
  EXPECT_THAT(reason("2. Why?\nAnswer: B\n"), HasSubstr("2: it has no choices"));
  EXPECT_THAT(reason("#### 2. **What is"), HasSubstr("2: it has no choices"));  // cut off
  EXPECT_THAT(reason("2. Why?\nA) x\nB) y\nAnswer: E"), HasSubstr("'E' is none of its 2 choices"));
  EXPECT_THAT(reason("2. Why?\nA) x\nB) y\nAnswer: z"), HasSubstr("'z' is none of its 2 choices"));
  EXPECT_THAT(reason("2. Why?\nA) x\nB) y\nAnswer: A, B"), HasSubstr("none of its 2 choices"));
  EXPECT_THAT(reason("2. Why?\nA) x\nB) y\nAnswer: A) y"), HasSubstr("contradicts itself"));
  EXPECT_THAT(reason("2. Why?\nA) x\nB) x\nAnswer: A"), HasSubstr("choices 1 and 2"));
  EXPECT_THAT(reason("2. Why?\nA) x\nB)\nAnswer: A"), HasSubstr("choice 2"));
  EXPECT_THAT(reason("2. Why?\nA) x\nC) y\nAnswer: A"), HasSubstr("B next, got C"));
  EXPECT_THAT(reason("2. Why?\nA) x\nAnswer: A"), HasSubstr("2 to 8 choices, got 1"));
  EXPECT_THAT(reason("2. what is  IT?\nA) x\nB) y\nAnswer: A"),
              HasSubstr("the same as one before"));
  EXPECT_TRUE(found("").empty());
  EXPECT_TRUE(found("I cannot see any image.\n\nSorry.").empty());
  // Nothing makes it throw.
  EXPECT_NO_THROW(found(std::string("1. \xff\xfe?\nA) \x80\nB) y\nAnswer: \xe7")));
}

TEST(QaExtract, RowsThatBringQuestions) {
  const auto given = [](const char* row) { return given_questions(parse_json(row, "test")); };
  const std::string inline_row =
      R"({"qa_list": [{"question": "What is it?\nA) a dog\nB) a cat", "answer": "B"}, {"question": 3}]})";
  const Extraction published = given(inline_row.c_str());
  ASSERT_EQ(published.questions.size(), 1u);
  EXPECT_EQ(summary(published.questions[0]), kExpected);
  ASSERT_EQ(published.malformed.size(), 1u);
  EXPECT_EQ(published.malformed[0].number, 2);
  const char* schema = R"({"reward_model": {"ground_truth": [
      {"question": "What is it?", "choices": ["A) a dog", "B) a cat"], "answer": "B"},
      {"question": "Why?", "choices": ["A) x", "B) y"], "answer": "C"}]}})";
  EXPECT_EQ(summary(given(schema).questions.at(0)), kExpected);
  EXPECT_THAT(given(schema).malformed.at(0).reason, HasSubstr("none of its 2 choices"));
  EXPECT_EQ(given(R"({"qa_response": "1. Why?\nA) x\nB) y\nAnswer: A"})").questions.size(), 1u);
  EXPECT_THAT(input_error([&] { given(R"({"image": "x"})"); }), HasSubstr("expected questions"));
  EXPECT_THAT(input_error([&] { given(R"({"qa_list": "x"})"); }), HasSubstr("expected a list"));
}

/// asked with its options rotated by one: A) blue, B) green, C) red, D) none
char chosen(std::string_view text) {
  const Question question{"Which colour?", {"red", "blue", "green"}, 0};
  const AskedQuestion asked = ask(question, 0, {1, 2, 0}, {"None of the above", {}});
  const char letter = chosen_letter(text, asked, question);
  return letter ? letter : '-';
}

TEST(QaLetter, LettersThatStandAlone) {
  for (const char* text : {"C",
                           " C",
                           "(C)",
                           "C)",
                           "C.",
                           "**C**",
                           "C) red",
                           "C: red",
                           "C\n",
                           "\"C\"",
                           "The answer is C",
                           "Answer: C",
                           "answer is (C).",
                           "Option C",
                           "red",
                           "Red.",
                           "[C]",
                           "选C",
                           "C）red",
                           "The answer is C, not A",
                           "I choose C",
                           "C C"})
    EXPECT_EQ(chosen(text), 'C') << text;
  for (const char* text : {"", "Cannot tell", "CAR", "c", "E", "F)", "A or C", "B, C", "yellow",
                           "Cyan", "B2", "I think", "a", "A cat", "D'accord", "_C_", "C'est"})
    EXPECT_EQ(chosen(text), '-') << text;
  EXPECT_EQ(chosen("A"), 'A');
  EXPECT_EQ(chosen("A) blue"), 'A');
  EXPECT_EQ(chosen("None of the above"), '-');  // is not said by its letter; never right either
  EXPECT_EQ(chosen("D"), 'D');
  EXPECT_EQ(chosen("blue"), 'A');
}

TEST(QaFilter, ThresholdsAreExclusive) {
  const auto reason = [](int visual, int text, QaFilterConfig config = {}) {
    return drop_reason(
        {{"visual", {{"asked", 4}, {"right", visual}}}, {"text", {{"asked", 4}, {"right", text}}}},
        config);
  };
  EXPECT_EQ(reason(4, 0), "");
  EXPECT_EQ(reason(3, 0), "not_visible");  // 0.75 is not above 0.75
  EXPECT_EQ(reason(4, 1), "guessable");    // 0.25 is not below 0.25
  EXPECT_EQ(reason(0, 4), "not_visible");
  QaFilterConfig loose;
  loose.min_visual_accuracy = 0.5;
  loose.max_text_accuracy = 0.5;
  EXPECT_EQ(reason(3, 1, loose), "");
  EXPECT_EQ(reason(2, 1, loose), "not_visible");
  EXPECT_EQ(reason(3, 2, loose), "guessable");
  loose.min_visual_accuracy.reset();
  loose.max_text_accuracy.reset();
  EXPECT_EQ(reason(0, 4, loose), "");
  EXPECT_EQ(
      drop_reason(
          {{"visual", {{"asked", 0}, {"right", 0}}}, {"text", {{"asked", 4}, {"right", 0}}}}, {}),
      "not_asked");
}

}  // namespace
}  // namespace caprl
