// Scorers against reference_scores.py, which shares no code with caprl, and forms that benchmarks
// have.
#include "tasks/scorers/scorer.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <map>
#include <set>

#include "support/json.h"
#include "tasks/eval/answer.h"

namespace caprl {
namespace {

using Json = nlohmann::json;

std::vector<Json> reference_cases(int seed, int count) {
  const std::string command = "python3 " CAPRL_SOURCE_DIR "/tests/tasks/reference_scores.py " +
                              std::to_string(seed) + " " + std::to_string(count);
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string text;
  std::array<char, 65536> buffer{};
  while (const size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
    text.append(buffer.data(), size);
  EXPECT_EQ(::pclose(pipe), 0);
  std::vector<Json> cases;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    cases.push_back(json_of(std::string_view(text).substr(begin, end - begin)));
  return cases;
}

Expected expected_of(const Json& item) {
  Expected expected;
  expected.answers = item.at("answers").get<std::vector<std::string>>();
  expected.tolerance = item.value("tolerance", 0.0);
  if (item.contains("choices"))
    expected.question = parse_question({{"question", "Which?"},
                                        {"choices", item["choices"]},
                                        {"answer", expected.answers.front()}},
                                       "a case", kMaxEvalChoices);
  return expected;
}

TEST(Scorers, AgreeWithTheReference) {
  constexpr int kCases = 2500;
  std::map<std::string, int64_t> cases, wrong;
  std::map<std::string, std::set<double>> scores;
  for (const Json& item : reference_cases(1, kCases)) {
    const std::string name = item.at("scorer").get<std::string>();
    const double wanted = item.at("score").get<double>();
    const double score =
        find_scorer(name)(expected_of(item), item.at("given").get_ref<const std::string&>());
    ++cases[name];
    scores[name].insert(wanted);
    if (std::abs(score - wanted) <= 1e-12) continue;
    if (++wrong[name] <= 20) ADD_FAILURE() << "scored " << score << ": " << item.dump();
  }
  EXPECT_EQ(cases.size(), 5u);
  for (const auto& [name, count] : cases) {
    EXPECT_EQ(count, kCases) << name;
    EXPECT_EQ(wrong[name], 0) << name;
    EXPECT_TRUE(scores[name].contains(0) && scores[name].contains(1)) << name;
  }
  EXPECT_GT(scores["anls"].size(), 20u);
}

double math(const std::string& answer, const std::string& given) {
  return score_math({{answer}, std::nullopt, 0}, given);
}

TEST(Scorers, MathReadsWhatBenchmarksHave) {
  const std::array<std::pair<const char*, const char*>, 27> same = {{
      {"14", "14 cm"},
      {"\\frac{1}{2}", "0.5"},
      {"1/3", "0.333333"},
      {"\\frac{3\\sqrt{3}}{2}", "3\\sqrt{3}/2"},
      {"2 \\sqrt{3}", "\\sqrt{12}"},
      {"50\\%", "0.5"},
      {"50", "50%"},
      {"60^{\\circ}", "60°"},
      {"6 \\mathrm{~m}", "6 m"},
      {"40,000", "40000"},
      {"y=2x+3", "y = 3 + 2x"},
      {"(3,5)", "(3, 5)"},
      {"3,5", "5 and 3"},
      {"[-1, \\infty)", "\\left[-1, \\infty\\right)"},
      {"(-\\infty, 2) \\cup (3, \\infty)", "(3,\\infty)\\cup(-\\infty,2)"},
      {"x=\\pm 2", "2, -2"},
      {"3:2", "3/2"},
      {"\\sin 30^\\circ", "1/2"},
      {"\\log_2 8", "3"},
      {"4!", "24"},
      {"|{-3}|", "3"},
      {"B", "b"},
      {"(B)", "B"},
      {"1 \\frac{1}{2}", "3/2"},
      {"Joint-CNN", "joint-cnn"},
      {"$12\\pi$ cm^2", "12π"},
      {"a^2b", "b \\cdot a \\cdot a"},
  }};
  for (const auto& [answer, given] : same) {
    EXPECT_EQ(math(answer, given), 1) << answer << " and " << given;
    EXPECT_EQ(math(given, answer), 1) << given << " and " << answer;
  }
  const std::array<std::pair<const char*, const char*>, 20> different = {{
      {"14", "14.1"},        {"1/3", "0.333"},      {"5 cm", "5 m"},   {"(1, 2)", "[1, 2]"},
      {"(1, 2)", "(2, 1)"},  {"x^2", "x^3"},        {"x", "y"},        {"2x", "x"},
      {"50%", "5"},          {"\\sqrt{2}", "1.41"}, {"blue", "green"}, {"1000000", "1000001"},
      {"x > 3", "x \\ge 3"}, {"1, 2", "1, 2, 3"},   {"3", ""},         {"1e-8", "2e-8"},
      {"no", "on"},          {"\\frac{1}{0}", "5"}, {"A", "B"},        {"2", "2, 2"},
  }};
  for (const auto& [answer, given] : different) {
    EXPECT_EQ(math(answer, given), 0) << answer << " and " << given;
    EXPECT_EQ(math(given, answer), 0) << given << " and " << answer;
  }
}

TEST(Scorers, HostileAnswersAreOnlyWrong) {
  for (const std::string& given :
       {std::string(4000, '('), std::string(500, '('), std::string(500, '-') + "1",
        std::string(500, '{') + "x", std::string("\\frac"), std::string("\\frac{1}{"),
        std::string("\\text{"), std::string("\\"), std::string("\xff\xfe"), std::string("x^"),
        std::string("1") + std::string(400, '!'), std::string("\\sqrt[]{}"), std::string("a_"),
        std::string("\\{"), std::string("|"), std::string("=,;"), std::string("\0x", 2)})
    for (const char* name : {"choice", "numeric", "chart", "anls", "math"})
      EXPECT_EQ(find_scorer(name)({{"7"}, std::nullopt, 0}, given), 0) << name << " " << given;
}

TEST(Scorers, AnyOfSeveralAnswersIsRight) {
  const Expected expected{{"USA", "United States"}, std::nullopt, 0};
  EXPECT_EQ(score_anls(expected, "united states"), 1);
  EXPECT_EQ(score_chart(expected, "usa"), 1);
  EXPECT_EQ(score_math(expected, "United  States."), 1);
}

TEST(ReadAnswer, FindsItInItsForm) {
  const auto tagged = [](const std::string& output) {
    return read_answer(output, AnswerForm::kTagged).value_or("nothing");
  };
  EXPECT_EQ(tagged("<think>It is \\boxed{1}.</think>\n<answer>So \\boxed{\\frac{1}{2}}.</answer>"),
            "\\frac{1}{2}");
  EXPECT_EQ(tagged("a</think><answer>\\boxed{1} or \\boxed{ 2 }</answer>"), "2");
  EXPECT_EQ(tagged("<answer>\\boxed{1}</answer>"), "nothing");  // as published
  EXPECT_EQ(tagged("</think> so <answer>\\boxed{1}</answer>"), "nothing");
  EXPECT_EQ(tagged("</think><answer>1</answer>"), "nothing");
  EXPECT_EQ(tagged("</think><answer>\\boxed{1}"), "nothing");
  const auto boxed = [](const std::string& output) {
    return read_answer(output, AnswerForm::kBoxed).value_or("nothing");
  };
  EXPECT_EQ(boxed("first \\boxed{1}, then \\boxed{\\{2\\}} and \\boxed{3"), "\\{2\\}");
  EXPECT_EQ(boxed("none"), "nothing");
  EXPECT_EQ(boxed("\\boxed{}"), "nothing");
  EXPECT_EQ(read_answer("red B", AnswerForm::kLetter), "B");
  EXPECT_EQ(read_answer("red", AnswerForm::kLetter), std::nullopt);
  EXPECT_EQ(read_answer(" 42\n", AnswerForm::kText), "42");
  EXPECT_EQ(read_answer(" \n", AnswerForm::kText), std::nullopt);
}

}  // namespace
}  // namespace caprl
