// What a browser makes of a report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "browser.h"
#include "caprl/tasks/report.h"
#include "support/json.h"
#include "support/temp_folder.h"
#include "synthetic_run.h"

namespace caprl {
namespace {

using nlohmann::json;

/// What the tests ask the page, each the body of a function; all in one visit, for it takes
/// seconds.
const std::vector<std::pair<std::string, std::string>> kQuestions = {
    {"numbers", R"(
      const table = document.querySelector('#numbers table');
      const names = [...table.tHead.rows[0].cells].map(cell => cell.textContent);
      const rows = [...table.tBodies[0].rows].map(row => Object.fromEntries(
          [...row.cells].map((cell, i) => [names[i], cell.textContent]).filter(pair => pair[1] !== '')));
      const last = [...document.querySelectorAll('.chart data')].map(
          one => [one.dataset.metric, Number(one.dataset.step), one.value, one.textContent]);
      return {rows, last};)"},
    {"curve", R"(
      const path = document.querySelector('[data-title="Entropy"] path.curve').getAttribute('d');
      return path.slice(1).split('L').map(point => point.split(',').map(Number));)"},
    {"group", R"(
      const group = document.querySelector('.group');
      const rows = group.querySelector('.answers tbody').rows;
      const cells = row => [...row.querySelectorAll('td')].map(cell => [cell.textContent, cell.className]);
      return {image: group.querySelector('.no-image').textContent,
              question: rows[0].querySelector('.question').textContent,
              correct: rows[0].querySelector('.correct').textContent,
              cells: cells(rows[0]), second: cells(rows[1]).map(cell => cell[1]),
              advantages: [...group.querySelectorAll('.advantage')].map(one => one.textContent)};)"},
    {"found", R"(
      return ['step_from=2&step_to=3&reward_from=0.5', 'text=WORD10&sort=newest', 'tokens_from=5',
              'image=picture-1', ''].map(address => {
        history.replaceState(null, '', '#' + address);
        showCaptions(filterOfAddress(), true);
        while (!document.getElementById('more').hidden) document.getElementById('more').click();
        return {groups: [...document.querySelectorAll('.group')].map(
                    group => [Number(group.dataset.step), group.dataset.id]),
                fitting: document.querySelectorAll('.caption:not(.other)').length,
                captions: document.querySelectorAll('.caption').length};
      });)"},
    {"keyboard", R"(
      const chart = document.querySelector('[data-title="Entropy"]');
      const press = (element, key) =>
          element.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
      chart.focus();
      const focused = document.activeElement === chart;
      press(chart, 'Home');
      press(chart, 'ArrowRight');
      const entropy = chart.querySelector('data').value;
      const cursor = document.getElementById('cursor').textContent;
      document.getElementById('cursor-captions').click();
      const steps = [...document.querySelectorAll('.group')].map(group => Number(group.dataset.step));
      const tokens = document.querySelector('.tokens');
      press(tokens, 'ArrowRight');
      press(tokens, 'ArrowRight');
      const token = tokens.nextSibling.textContent;
      press(chart, 'Escape');
      return {focused, entropy, cursor, steps, token, address: location.hash,
              after: document.getElementById('cursor').textContent};)"},
    {"phone", R"(
      document.body.style.width = '390px';  // Chromium's own windows are wider
      return {wide: document.body.scrollWidth,
              columns: getComputedStyle(document.querySelector('.group')).gridTemplateColumns.split(' ').length};)"},
};

class ReportPage : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!Browser::exists()) return;
    folder_ = std::make_unique<TempFolder>();
    run_.folder = *folder_ / "run";
    run_.write();
    std::ofstream(run_.folder / "metrics.jsonl", std::ios::app)
        << "{\"step\":6,\"actor/grad_norm\":\"nan\",\"actor/lr\":1.2345678901234567e-300}\n";
    std::string script = "return {";
    for (const auto& [name, body] : kQuestions)
      script += fmt::format("{}: (() => {{{}}})(),\n", name, body);
    shown_ = look(write_report({.run = run_.folder}), script + "};", "numbers", 500);
  }
  static void TearDownTestSuite() { folder_.reset(); }
  void SetUp() override {
    if (!folder_)
      GTEST_SKIP() << "there is no chromium: the report's page is NOT tested (apt-get install "
                      "chromium)";
  }

  /// The script's result; the page must have written nothing to the console.
  static json look(const std::filesystem::path& page, const std::string& script,
                   const std::string& address = "", int width = 1280) {
    const PageOutcome outcome = Browser::open(page, script, address, width);
    EXPECT_EQ(outcome.console, "");
    return outcome.result;
  }

  inline static std::unique_ptr<TempFolder> folder_;
  inline static SyntheticRun run_;
  inline static json shown_;
};

TEST_F(ReportPage, ShowsTheNumbersOfTheMetrics) {
  const json& shown = shown_.at("numbers");
  const auto lines = parsed_lines(run_.folder / "metrics.jsonl");
  ASSERT_EQ(shown.at("rows").size(), lines.size());
  std::map<std::string, std::pair<int64_t, json>> newest;
  for (size_t i = 0; i < lines.size(); ++i) {
    ASSERT_EQ(shown.at("rows")[i].size(), lines[i].size());
    for (const auto& [name, value] : lines[i].items()) {
      const std::string text = shown.at("rows")[i].at(name);
      if (value.is_string())
        EXPECT_EQ(text, value);
      else
        EXPECT_EQ(std::stod(text), value.get<double>()) << name;
      if (name != "step") newest[name] = {lines[i].at("step"), value};
    }
  }
  // Each chart names the newest value of its metrics; no metric is without a chart.
  std::set<std::string> charted;
  for (const json& one : shown.at("last")) {
    const auto& [step, value] = newest.at(one[0].get<std::string>());
    charted.insert(one[0]);
    EXPECT_EQ(one[1], step);
    if (value.is_string()) {
      EXPECT_EQ(one[2], value);
      EXPECT_EQ(one[3], value);
    } else {
      EXPECT_EQ(std::stod(one[2].get<std::string>()), value.get<double>());
      if (value > 1e-3)
        EXPECT_NEAR(std::stod(one[3].get<std::string>()), value.get<double>(), 6e-4) << one;
    }
  }
  for (const auto& [name, value] : newest) EXPECT_TRUE(charted.contains(name)) << name;
}

TEST_F(ReportPage, CurvesPassThroughTheirValues) {
  const json& curve = shown_.at("curve");
  std::vector<double> values;
  for (const json& line : parsed_lines(run_.folder / "metrics.jsonl"))
    if (line.contains("actor/entropy")) values.push_back(line.at("actor/entropy"));
  ASSERT_EQ(curve.size(), values.size());
  // Screen places are a linear map of steps and values: two points fix it, the others must agree.
  const auto low = static_cast<size_t>(std::ranges::min_element(values) - values.begin());
  const auto high = static_cast<size_t>(std::ranges::max_element(values) - values.begin());
  const auto y = [&](size_t i) { return curve[i][1].get<double>(); };
  EXPECT_GT(y(low), y(high) + 50);
  for (size_t i = 0; i < values.size(); ++i) {
    const double share = (values[i] - values[low]) / (values[high] - values[low]);
    EXPECT_NEAR(y(i), y(low) + share * (y(high) - y(low)), 0.2);
    EXPECT_NEAR(curve[i][0].get<double>() - curve[0][0].get<double>(),
                static_cast<double>(i) * (curve[1][0].get<double>() - curve[0][0].get<double>()),
                0.5);
  }
}

TEST_F(ReportPage, IsUsedWithTheKeyboard) {
  const json& walked = shown_.at("keyboard");
  const auto lines = parsed_lines(run_.folder / "metrics.jsonl");
  EXPECT_EQ(walked.at("focused"), true);
  EXPECT_EQ(walked.at("cursor"), "step 2");
  EXPECT_EQ(std::stod(walked.at("entropy").get<std::string>()),
            lines[1].at("actor/entropy").get<double>());
  EXPECT_EQ(walked.at("steps"), (std::vector{2, 2}));
  EXPECT_EQ(walked.at("address"), "#step_from=2&step_to=2");
  EXPECT_THAT(walked.at("token").get<std::string>(), testing::StartsWith("“word3”: probability "));
  EXPECT_EQ(walked.at("after"), "");
}

TEST_F(ReportPage, FiltersCaptions) {
  const json& found = shown_.at("found");
  EXPECT_EQ(found[0].at("groups"),
            json_of(R"([[2,"picture-0"],[2,"picture-1"],[3,"picture-0"],[3,"picture-1"]])"));
  EXPECT_EQ(found[0].at("captions"), 12);
  EXPECT_EQ(found[0].at("fitting"), 4);
  // Words count up with step, group, sample and place: the tenth comes late.
  EXPECT_EQ(found[1].at("groups"), json_of(R"([[5,"picture-0"],[5,"picture-1"],[4,"picture-1"]])"));
  EXPECT_EQ(found[1].at("fitting"), 1 + 2 + 1);
  EXPECT_EQ(found[2].at("groups"), json::array());
  EXPECT_EQ(found[3].at("groups").size(), 5u);
  EXPECT_EQ(found[4].at("groups").size(), 10u);
  EXPECT_EQ(found[4].at("fitting"), 30);
}

TEST_F(ReportPage, TellsQuestionsAndAnswers) {
  const json& group = shown_.at("group");
  EXPECT_EQ(group.at("image"), "The image file is not there (any more): /nowhere/picture.png");
  EXPECT_EQ(group.at("question"), "What is 0?");
  EXPECT_EQ(group.at("correct"), "B blue ✓");
  EXPECT_EQ(group.at("cells"), json_of(R"([["B ✓","right"],["A ✗","wrong"],["A ✗","wrong"]])"));
  EXPECT_EQ(group.at("second"), json_of(R"(["right","abstained","abstained"])"));
  EXPECT_EQ(group.at("advantages"), json_of(R"(["A +1.50","A −0.50","A −0.50"])"));
}

TEST_F(ReportPage, FitsAPhone) {
  EXPECT_EQ(shown_.at("phone").at("wide"), 390);
  EXPECT_EQ(shown_.at("phone").at("columns"), 1);
}

TEST_F(ReportPage, ShowsTwoRuns) {
  SyntheticRun other = run_;
  other.folder = *folder_ / "other";
  other.steps = 3;
  other.write();
  const json values = look(
      write_report({.run = run_.folder, .out = *folder_ / "two.html", .compare = other.folder}),
      R"(return [...document.querySelectorAll('[data-title="Entropy"] data')].map(one => Number(one.value));)");
  EXPECT_EQ(values,
            json::array({parsed_lines(run_.folder / "metrics.jsonl")[4].at("actor/entropy"),
                         parsed_lines(other.folder / "metrics.jsonl")[2].at("actor/entropy")}));
}

TEST_F(ReportPage, ShowsARunWithoutAnything) {
  std::filesystem::create_directories(*folder_ / "none");
  std::ofstream(*folder_ / "none/metrics.jsonl") << "";
  EXPECT_EQ(look(write_report({.run = *folder_ / "none"}),
                 "return document.getElementById('charts').textContent;", "numbers"),
            "The run has no metrics yet.");
}

}  // namespace
}  // namespace caprl
