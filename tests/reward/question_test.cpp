#include "caprl/reward/question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "caprl/core/error.h"

namespace caprl {
namespace {

using Json = nlohmann::json;
using Texts = std::vector<std::string>;
using testing::HasSubstr;

Json item(const Texts& choices, const std::string& answer) {
  return {{"question", "What color is it?"}, {"choices", choices}, {"answer", answer}};
}

std::string error_of(const Json& json) {
  try {
    parse_question(json, "qa.jsonl:7");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(ParseQuestion, ReadsEveryFormOfLabelsAndAnswers) {
  struct Case {
    Texts choices;
    std::string answer;
    Texts expected;
    int64_t index;
  };
  const Texts colors{"red", "blue", "green"};
  const Texts names{"J. Smith", "A.M. Turing", "M. Curie"};
  const Texts panels{"(a)", "(b)", "(c)"};
  const std::vector<Case> cases{
      {{"A) red", "B) blue", "C) green"}, "B", colors, 1},
      {{"A. red", "B. blue", "C. green"}, "C", colors, 2},
      {{"(A) red", "(B) blue", "(C) green"}, "A", colors, 0},
      {{"a) red", "b) blue", "c) green"}, "b", colors, 1},
      {{"A)red", " B)  blue ", "C)\tgreen"}, " C ", colors, 2},
      {{"red", "blue", "green"}, "B", colors, 1},
      {{"red", "blue", "green"}, "green", colors, 2},
      {{"A) red", "B) blue", "C) green"}, "blue", colors, 1},
      {{"A) red", "B) blue", "C) green"}, "B) blue", colors, 1},
      {{"A) red", "B. blue", "(C) green"}, "(C) green", colors, 2},
      {{"A) red", "B) blue", "C) green"}, "B)", colors, 1},
      {{"A) red", "B) blue", "C) green"}, "B.", colors, 1},
      {{"A) red", "B) blue", "C) green"}, "(B)", colors, 1},
      // Full-width marks.
      {{"A）红色", "B）蓝色"}, "B", {"红色", "蓝色"}, 1},
      {{"（A）红色", "（B）蓝色"}, "（B）", {"红色", "蓝色"}, 1},
      {{"A．红色", "B．蓝色"}, "A．红色", {"红色", "蓝色"}, 0},
      {{"A、红色", "B、蓝色"}, "蓝色", {"红色", "蓝色"}, 1},
      // Formulas and code are only text.
      {{"A) f(A) = {B}", "B) if (a < b) { a = b; }"},
       "B",
       {"f(A) = {B}", "if (a < b) { a = b; }"},
       1},
      {{"A) $\\frac{a}{b}$", "B) {caption}"}, "A", {"$\\frac{a}{b}$", "{caption}"}, 0},
      // Initials and letters in parentheses that are no labels.
      {names, "B", names, 1},
      {panels, "C", panels, 2},
      {{"A) (a)", "B) (b)", "C) (c)"}, "B", panels, 1},
      // Labels say what a letter means, even if the choices are letters.
      {{"A) B", "B) A"}, "A", {"B", "A"}, 0},
      {{"12", "B"}, "B", {"12", "B"}, 1},
  };
  for (const Case& c : cases) {
    const Json json = item(c.choices, c.answer);
    SCOPED_TRACE(json.dump());
    const Question question = parse_question(json, "x");
    EXPECT_EQ(question.text, "What color is it?");
    EXPECT_EQ(question.choices, c.expected);
    EXPECT_EQ(question.answer, c.index);
  }
}

TEST(ParseQuestion, AcceptsTwoToEightChoices) {
  EXPECT_EQ(parse_question(item({"yes", "no"}, "B"), "x").choices.size(), 2u);
  const Texts eight{"A) 1", "B) 2", "C) 3", "D) 4", "E) 5", "F) 6", "G) 7", "H) 8"};
  EXPECT_EQ(parse_question(item(eight, "H"), "x").answer, 7);
}

TEST(ParseQuestion, RefusesBadQuestionsInClearWords) {
  const Json good = item({"A) red", "B) blue"}, "A");
  const auto with = [&good](const char* key, const Json& value) {
    Json json = good;
    json[key] = value;
    return json;
  };
  const auto without = [&good](const char* key) {
    Json json = good;
    json.erase(key);
    return json;
  };
  const Texts nine{"1", "2", "3", "4", "5", "6", "7", "8", "9"};
  const std::vector<std::pair<Json, std::string>> cases{
      {Json::array(), "qa.jsonl:7: a question: expected an object, got array"},
      {without("question"), "qa.jsonl:7: the question has no 'question'"},
      {without("choices"), "qa.jsonl:7: the question has no 'choices'"},
      {without("answer"), "qa.jsonl:7: the question has no 'answer'"},
      {with("question", 3), "qa.jsonl:7: 'question' of a question: expected a string, got number"},
      {with("question", " \n"), "qa.jsonl:7: 'question' of a question is empty"},
      {with("choices", "A) red"), "expected a list of strings, got string"},
      {with("choices", Json::array()), "expected 2 to 8 choices, got 0"},
      {with("choices", {"A) red"}), "expected 2 to 8 choices, got 1"},
      {with("choices", nine), "expected 2 to 8 choices, got 9"},
      {with("choices", {"A) red", nullptr}), "choice 2 of a question: expected a string, got null"},
      {with("choices", {"A) red", "B) "}), "qa.jsonl:7: choice 2 of a question is empty"},
      {with("choices", {"red", "  "}), "qa.jsonl:7: choice 2 of a question is empty"},
      {with("choices", {"A) red", "B) blue", "C) red"}),
       "qa.jsonl:7: choices 1 and 3 of a question are the same: 'red'"},
      {with("choices", {"A) red", "C) blue"}),
       "choice 2 of a question: expected the label 'B', as choices are labelled in order or not at "
       "all, got 'C) blue'"},
      {with("choices", {"red", "B) blue"}), "choice 1 of a question: expected the label 'A'"},
      {with("choices", {"A) red", "blue"}), "expected the label 'B'"},
      {with("answer", 1), "qa.jsonl:7: 'answer' of a question: expected a string, got number"},
      {with("answer", "C"), "qa.jsonl:7: the answer 'C' of a question is none of its 2 choices"},
      {with("answer", ""), "the answer '' of a question is none of its 2 choices"},
      {with("answer", "purple"), "the answer 'purple' of a question is none of its 2 choices"},
      {with("answer", "A) blue"), "the answer 'A) blue' of a question is none of its 2 choices"},
      {item({"B", "A"}, "A"), "the answer 'A' of a question may mean choice 1 or choice 2"},
  };
  EXPECT_EQ(error_of(good), "accepted");
  for (const auto& [json, words] : cases) EXPECT_THAT(error_of(json), HasSubstr(words)) << json;
}

TEST(ParseInlineQuestion, ByTable) {
  struct Case {
    std::string text, answer, question;
    Texts choices;
    int64_t index;
  };
  const std::vector<Case> cases{
      {"What color?\nA) red\nB) blue", "B", "What color?", {"red", "blue"}, 1},
      {"What color?\n\n  A. red  \n  B. blue\n\n", "A.", "What color?", {"red", "blue"}, 0},
      {"What color?\r\n(A) red\r\n(B) blue", "(B)", "What color?", {"red", "blue"}, 1},
      {"什么颜色？\nA）红\nB）蓝", "B", "什么颜色？", {"红", "蓝"}, 1},
      {"Which code?\nA) if x:\n    y()\nB) pass",
       "A",
       "Which code?",
       {"if x:\n    y()", "pass"},
       0},
      {"Which code?\nA)\nx = 1\n\ny = 2\nB) pass",
       "B",
       "Which code?",
       {"x = 1\n\ny = 2", "pass"},
       1},
      // A question that has labelled lines itself.
      {"A) is a label.\nWhat is B) then?\nA) yes\nB) no",
       "A",
       "A) is a label.\nWhat is B) then?",
       {"yes", "no"},
       0},
      {"Two lines\nof a question\nA) 1\nB) 2\nC) 3\nD) 4\nE) 5\nF) 6\nG) 7\nH) 8",
       "H",
       "Two lines\nof a question",
       {"1", "2", "3", "4", "5", "6", "7", "8"},
       7},
  };
  for (const Case& c : cases) {
    const Question question = parse_inline_question(c.text, c.answer, "x");
    EXPECT_EQ(question.text, c.question);
    EXPECT_EQ(question.choices, c.choices) << c.text;
    EXPECT_EQ(question.answer, c.index);
  }
}

TEST(ParseInlineQuestion, RefusesBadQuestionsInClearWords) {
  const auto error = [](std::string_view text, std::string_view answer) -> std::string {
    try {
      parse_inline_question(text, answer, "request: prompt 3");
    } catch (const InputError& error) {
      return error.what();
    }
    return "accepted";
  };
  const std::string good = "What?\nA) red\nB) blue";
  const std::vector<std::array<std::string, 3>> cases{
      {"", "A", "expected a question followed by lines 'A) …', 'B) …', got none in ''"},
      {"What color is it?", "A", "got none in 'What color is it?'"},
      {"What?\nA) red", "A", "got none in 'What?\nA) red'"},
      {"What?\nred\nblue", "A", "got none in"},
      {std::string(100, 'x'), "A", "got none in '" + std::string(80, 'x') + "…'"},
      {"A) red\nB) blue", "A", "request: prompt 3: a question has choices but no text"},
      {"What?\nA) red\nB) blue\nD) green", "A",
       "expected the choices' labels in order, 'C' next, got 'D) green'"},
      {"What?\nA) red\nB) blue\nB) green", "A", "'C' next, got 'B) green'"},
      {"What?\nA) 1\nB) 2\nC) 3\nD) 4\nE) 5\nF) 6\nG) 7\nH) 8\nI) 9", "A",
       "expected 2 to 8 choices, got 9"},
      {"What?\nA) red\nB)", "A", "choice 2 of a question is empty"},
      {"What?\nA) red\nB) red", "A", "choices 1 and 2 of a question are the same: 'red'"},
      {good, "C", "the answer 'C' of a question is none of its 2 choices"},
      {good, "", "the answer '' of a question is none of its 2 choices"},
      {good, "A) blue", "the answer 'A) blue' of a question is none of its 2 choices"},
  };
  EXPECT_EQ(error(good, "A"), "accepted");
  for (const auto& [text, answer, words] : cases)
    EXPECT_THAT(error(text, answer), HasSubstr(words)) << text;
}

const Question kColors{"What color is it?", {"red", "blue", "green", "black"}, 1};

// The right answer is "blue", choice 1. Checked by hand.
TEST(Ask, RelabelsByTable) {
  struct Case {
    std::vector<int64_t> order;
    AbstainOption abstain;
    std::string text;
    char right, abstain_label;
    std::string labels;
  };
  const std::vector<Case> cases{
      {{}, {}, "A) red\nB) blue\nC) green\nD) black", 'B', 0, "ABCD"},
      {{0, 1, 2, 3}, {}, "A) red\nB) blue\nC) green\nD) black", 'B', 0, "ABCD"},
      {{1, 0, 3, 2}, {}, "A) blue\nB) red\nC) black\nD) green", 'A', 0, "ABCD"},
      {{3, 2, 0, 1}, {}, "A) black\nB) green\nC) red\nD) blue", 'D', 0, "ABCD"},
      {{2, 0, 1, 3}, {}, "A) green\nB) red\nC) blue\nD) black", 'C', 0, "ABCD"},
      {{2, 0, 1, 3},
       {"Can not answer based on the caption", "F"},
       "A) green\nB) red\nC) blue\nD) black\nF) Can not answer based on the caption",
       'C',
       'F',
       "ABCDF"},
      {{}, {"None", ""}, "A) red\nB) blue\nC) green\nD) black\nE) None", 'B', 'E', "ABCDE"},
      // The label asked for is one of the question's own: the next one is used.
      {{}, {"None", "C"}, "A) red\nB) blue\nC) green\nD) black\nE) None", 'B', 'E', "ABCDE"},
  };
  for (const Case& c : cases) {
    const AskedQuestion asked = ask(kColors, 5, c.order, c.abstain);
    EXPECT_EQ(asked.text, "What color is it?\n" + c.text);
    EXPECT_EQ(asked.right, c.right) << c.text;
    EXPECT_EQ(asked.abstain, c.abstain_label);
    EXPECT_EQ(asked.labels(), c.labels);
    EXPECT_EQ(asked.num_options, static_cast<int64_t>(c.labels.size()));
    EXPECT_EQ(asked.order, c.order);
    EXPECT_EQ(asked.question, 5);
  }
}

TEST(Ask, EightChoicesLeaveTheLastLetterToAbstain) {
  const Question question{"?", {"1", "2", "3", "4", "5", "6", "7", "8"}, 7};
  const AskedQuestion asked = ask(question, 0, {}, {"none", "F"});
  EXPECT_EQ(asked.labels(), "ABCDEFGHI");
  EXPECT_EQ(asked.right, 'H');
}

TEST(Ask, TheRightLabelAlwaysPointsToTheSameText) {
  std::vector<int64_t> order{0, 1, 2, 3};
  do {
    for (int64_t answer = 0; answer < 4; ++answer) {
      Question question = kColors;
      question.answer = answer;
      const AskedQuestion asked = ask(question, 0, order, {"none", ""});
      const std::string line =
          std::string("\n") + asked.right + ") " + question.choices[answer] + "\n";
      EXPECT_THAT(asked.text, HasSubstr(line));
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace
}  // namespace caprl
