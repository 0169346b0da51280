// The executables as a shell sees them.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace {

struct Outcome {
  int exit_code;
  std::string out;
};

Outcome shell(const std::string& command) {
  std::FILE* pipe = ::popen((CAPRL_BIN_DIR "/" + command).c_str(), "r");
  std::string out;
  std::array<char, 4096> buffer;
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
    out.append(buffer.data(), count);
  const int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out};
}

TEST(Programs, Version) {
  const Outcome outcome = shell("caprl --version");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "caprl " CAPRL_VERSION "\n");
  EXPECT_EQ(shell("caprl-train --version").out, outcome.out);
}

TEST(Programs, HelpNamesTheCommands) {
  const Outcome outcome = shell("caprl --help");
  EXPECT_EQ(outcome.exit_code, 0);
  for (const char* command : {"train", "sft", "export"})
    EXPECT_NE(outcome.out.find(std::string("\n  ") + command), std::string::npos) << command;
}

TEST(Programs, TrainIsTheCommandOfThatName) {
  EXPECT_EQ(shell("caprl-train --help").out, shell("caprl train --help").out);
  const Outcome outcome = shell("caprl-train --config /nowhere.yaml 2>&1");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "error: /nowhere.yaml cannot be opened: No such file or directory\n");
}

TEST(Programs, WrongCommandLines) {
  EXPECT_EQ(shell("caprl 2>&1").exit_code, 2);
  const Outcome outcome = shell("caprl trian 2>/dev/null");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
}

}  // namespace
