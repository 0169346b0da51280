// The dashboard on terminals of several sizes: what stands on the screen, whatever was written.
#include "caprl/core/dashboard.h"

#include <gmock/gmock.h>

#include <csignal>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/core/termination.h"
#include "support/pseudo_terminal.h"

namespace caprl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

constexpr int kRows = 12;

void pause(int milliseconds) {
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

void update(Dashboard& dashboard, int64_t step) {
  dashboard.update(
      step,
      {{"reward", 0.1 * static_cast<double>(step), 3}, {"length", 18.5, 1}, {"tokens/s", 3051, 0}},
      {{"memory", 1.25, 1, "GB"}}, "three objects . a red circle\n红色的圆 \x1b[2J !");
}

/// Five steps of ten.
void some_steps() {
  init_logging();
  Dashboard dashboard(10, 0);
  dashboard.phase("gen");
  for (int64_t step = 1; step <= 5; ++step) {
    update(dashboard, step);
    if (step == 3) log_info("a checkpoint is written");
    pause(20);
  }
}

int count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(Dashboard, OnAnUsualTerminal) {
  PseudoTerminal terminal(80, kRows, some_steps);
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_THAT(
      terminal.screen.lines(),
      ElementsAre(MatchesRegex("..:..:.. I a checkpoint is written"),
                  MatchesRegex("\\[##########          \\] 5/10  gen 0:00:0.  left 0:00:0."),
                  "reward 0.500  ▁▃▅▇█", "length 18.5  tokens/s 3051  memory 1.2 GB",
                  "caption: three objects . a red circle 红色的圆  [2J !"));
  EXPECT_EQ(terminal.screen.column(), 0);
  EXPECT_EQ(terminal.screen.row(), 5) << "below the picture";
  EXPECT_EQ(terminal.screen.unknown(), "");
}

TEST(Dashboard, OnTwentyColumns) {
  PseudoTerminal terminal(20, kRows, some_steps);
  EXPECT_EQ(terminal.wait(), 0);
  auto lines = terminal.screen.lines();
  ASSERT_GT(lines.size(), 10u);
  lines.erase(lines.begin(), lines.end() - 10);  // the log's, which wraps
  EXPECT_THAT(lines, ElementsAre("[######      ] 5/10", MatchesRegex("gen 0:00:0."),
                                 MatchesRegex("left 0:00:0."), "reward 0.500  ▁▃▅▇█", "length 18.5",
                                 "tokens/s 3051", "memory 1.2 GB", "caption: three obje",
                                 "cts . a red circle", "红色的圆  [2J !"));
}

class EveryWidth : public testing::TestWithParam<int> {};

TEST_P(EveryWidth, OnePictureAndNothingWraps) {
  PseudoTerminal terminal(GetParam(), kRows, [] {
    Dashboard dashboard(1000, 0);
    dashboard.phase("update_actor");
    for (int64_t step = 1; step <= 5; ++step) {
      update(dashboard, step);
      pause(10);
    }
  });
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_EQ(terminal.screen.wraps(), 0);
  EXPECT_EQ(terminal.screen.column(), 0);
  EXPECT_EQ(count(terminal.screen.text(), "/10"), 1) << terminal.screen.text();
  EXPECT_EQ(count(terminal.screen.text(), "rewa"), 1) << terminal.screen.text();
  EXPECT_LT(terminal.screen.lines().size(), static_cast<size_t>(kRows));
}

INSTANTIATE_TEST_SUITE_P(Columns, EveryWidth, testing::Values(7, 20, 21, 33, 47, 60, 100, 300));

TEST(Dashboard, OnThreeRows) {
  PseudoTerminal terminal(20, 3, some_steps);
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_EQ(count(terminal.screen.text(), "5/10"), 1) << terminal.screen.text();
  for (const char* earlier : {"1/10", "2/10", "4/10"})
    EXPECT_THAT(terminal.screen.text(), Not(HasSubstr(earlier)));
}

class Resized : public testing::TestWithParam<std::tuple<int, int, bool>> {};

TEST_P(Resized, IsDrawnAnew) {
  const auto [before, after, reflows] = GetParam();
  PseudoTerminal terminal(before, kRows, [] {
    Dashboard dashboard(1000, 0);
    update(dashboard, 5);
    pause(900);  // the picture is drawn again in this time
  });
  ASSERT_TRUE(terminal.read_until_shown("caption"));
  terminal.read_rest();
  terminal.resize(after, kRows, reflows);
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_EQ(terminal.screen.wraps(), 0);
  EXPECT_EQ(count(terminal.screen.text(), "5/1000"), 1) << terminal.screen.text();
  EXPECT_EQ(count(terminal.screen.text(), "reward 0.5"), 1) << terminal.screen.text();
  EXPECT_EQ(count(terminal.screen.text(), "caption: "), 1) << terminal.screen.text();
}

INSTANTIATE_TEST_SUITE_P(Sizes, Resized,
                         testing::Values(std::tuple(80, 20, true), std::tuple(80, 20, false),
                                         std::tuple(20, 100, true)));

TEST(Dashboard, AnErrorStandsBelowTheLastPicture) {
  PseudoTerminal terminal(60, kRows, [] {
    try {
      Dashboard dashboard(10, 0);
      dashboard.phase("gen");
      update(dashboard, 1);
      pause(30);
      throw Error("the disk is full");
    } catch (const Error& error) {
      fmt::print(stderr, "error: {}\n", error.what());
    }
  });
  EXPECT_EQ(terminal.wait(), 0);
  const auto lines = terminal.screen.lines();
  EXPECT_THAT(lines.front(), HasSubstr("1/10  gen 0:00:00"));
  EXPECT_EQ(lines.back(), "error: the disk is full");
  EXPECT_EQ(terminal.screen.column(), 0);
}

TEST(Dashboard, CtrlCIsSaidAndTwiceEndsAtOnce) {
  PseudoTerminal terminal(80, kRows, [] {
    catch_termination();
    Dashboard dashboard(10, 0);
    update(dashboard, 1);
    pause(60000);
  });
  ASSERT_TRUE(terminal.read_until_shown("caption"));
  terminal.read_rest();
  terminal.press("\x03");
  ASSERT_TRUE(terminal.read_until_shown("stopping after this step (Ctrl-C: at once)", 3));
  EXPECT_FALSE(terminal.shows("^C")) << "drawn over";
  terminal.read_rest();
  terminal.press("\x03");
  const int status = terminal.wait(3);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGINT);
  // The picture is gone; the terminal itself may have shown the key.
  EXPECT_THAT(terminal.screen.text(), testing::AnyOf("", "^C\n"));
}

class Plain : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(Plain, LinesOnly) {
  PseudoTerminal terminal(20, kRows, [] {
    const auto [variable, value] = GetParam();
    if (value == nullptr)
      ::unsetenv(variable);
    else
      ::setenv(variable, value, 1);
    some_steps();
  });
  EXPECT_EQ(terminal.wait(), 0);
  EXPECT_EQ(terminal.output.find('\x1b'), std::string::npos);
  EXPECT_THAT(terminal.output,
              HasSubstr("step 1/10  reward 0.100  length 18.5  tokens/s 3051  left "));
  EXPECT_EQ(count(terminal.output, "\r\n"), 6) << "five steps and the log's line";
}

INSTANTIATE_TEST_SUITE_P(Ways, Plain,
                         testing::Values(std::pair("NO_COLOR", "1"), std::pair("TERM", "dumb"),
                                         std::pair("TERM", nullptr)));

}  // namespace
}  // namespace caprl
