// The executables as a shell sees them.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
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
  EXPECT_EQ(outcome.out.rfind("caprl " CAPRL_VERSION "\ncommit ", 0), 0u) << outcome.out;
  EXPECT_NE(outcome.out.find("LibTorch 2."), std::string::npos);
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

/// The launcher's pages are caprl-core's, which needs a third of a second to load LibTorch.
TEST(Programs, HelpIsThereAtOnce) {
  for (const char* command : {"--help", "train --help", "config show --help", "-h"})
    EXPECT_EQ(shell(std::string("caprl ") + command).out,
              shell(std::string("caprl-core ") + command).out)
        << command;
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_NE(shell("caprl --help").out, "");
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  EXPECT_LE(best, 0.3);
}

TEST(Programs, DoctorSaysWhyNothingStarts) {
  const std::string folder = "/tmp/caprl_programs_test_" + std::to_string(::getpid());
  const std::string copy = "cp " CAPRL_BIN_DIR "/caprl " + folder + "/caprl; ";
  const auto run = [&](const std::string& then) {
    return shell("caprl --version >/dev/null; mkdir -p " + folder + "; " + copy + then);
  };
  Outcome outcome = run(folder + "/caprl doctor 2>&1");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.out.find("caprl-core cannot be started: No such file"), std::string::npos)
      << outcome.out;
  // As the dynamic linker does it.
  outcome =
      run("printf '#!/bin/sh\necho libtorch_cpu.so: no such file >&2; exit 127\n' > " + folder +
          "/caprl-core; chmod +x " + folder + "/caprl-core; " + folder + "/caprl doctor 2>&1");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.out.find("a library is missing"), std::string::npos) << outcome.out;
  shell("caprl --version >/dev/null; rm -r " + folder);
}

TEST(Programs, WrongCommandLines) {
  EXPECT_EQ(shell("caprl 2>&1").exit_code, 2);
  const Outcome outcome = shell("caprl trian 2>/dev/null");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
}

}  // namespace
