#include "cli/run_app.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>

#include "caprl/core/error.h"

namespace caprl {
namespace {

struct Outcome {
  int exit_code;
  std::string out, err;
};

/// Runs `test work` with --count, a required option; `work` calls the given function.
Outcome run(
    std::vector<std::string> arguments, std::function<void()> call = [] {}) {
  CLI::App app("a test", "test");
  app.require_subcommand(1);
  CLI::App* work = app.add_subcommand("work", "does it");
  int count = 0;
  work->add_option("--count", count, "how often")->required();
  work->callback(call);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int exit_code = run_app(app, std::move(arguments));
  return {exit_code, testing::internal::GetCapturedStdout(),
          testing::internal::GetCapturedStderr()};
}

Outcome run_throwing(std::function<void()> call) { return run({"work", "--count", "3"}, call); }

TEST(RunApp, DoneIsZeroAndSilent) {
  bool called = false;
  const Outcome outcome = run({"work", "--count", "3"}, [&] { called = true; });
  EXPECT_TRUE(called);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out + outcome.err, "");
}

TEST(RunApp, WrongInputIsTwo) {
  const Outcome outcome = run_throwing([] { throw InputError("x.yaml:3: {} is wrong", "it"); });
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err, "error: x.yaml:3: it is wrong\n");
  EXPECT_EQ(outcome.out, "");
}

TEST(RunApp, FailuresAreOne) {
  const auto check = [](std::function<void()> call, const std::string& message) {
    const Outcome outcome = run_throwing(std::move(call));
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.err, "error: " + message + "\n");
    EXPECT_EQ(outcome.out, "");
  };
  check([] { throw Error("the disk is full"); }, "the disk is full");
  check([] { throw std::runtime_error("some library"); }, "some library");
  check([] { throw std::bad_alloc(); }, "out of memory");
  check([] { TORCH_CHECK(false, "shapes differ"); }, "shapes differ");
}

TEST(RunApp, WrongCommandLinesAreTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"wrok"},
                                             {"work"},
                                             {"work", "--count"},
                                             {"work", "--count", "x"},
                                             {"work", "--count", "3", "--other"}}) {
    const Outcome outcome = run(arguments, [] { ADD_FAILURE() << "called"; });
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_NE(outcome.err, "");
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_EQ(run({"wrok"}).err, "error: unknown command 'wrok'; test --help names them\n");
  EXPECT_NE(run({"work"}).err.find("--count is required"), std::string::npos);
}

TEST(RunApp, HelpIsZeroAndOnStdout) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--help"}, {"work", "--help"}}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_NE(outcome.out.find("Usage: test"), std::string::npos) << outcome.out;
    EXPECT_EQ(outcome.err, "");
  }
}

}  // namespace
}  // namespace caprl
