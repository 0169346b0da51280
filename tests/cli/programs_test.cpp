// The executables as a shell sees them.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

namespace fs = std::filesystem;

struct Outcome {
  int exit_code;
  std::string out;
};

Outcome run_shell(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string out;
  std::array<char, 4096> buffer;
  while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
    out.append(buffer.data(), count);
  const int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, out};
}

/// A program of the build.
Outcome shell(const std::string& command) { return run_shell(CAPRL_BIN_DIR "/" + command); }

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

/// A folder with the launcher and a caprl-core of the test's own.
class Launcher : public testing::Test {
 protected:
  Launcher() {
    fs::create_directories(folder_);
    fs::copy(CAPRL_BIN_DIR "/caprl", folder_);
  }
  ~Launcher() override { fs::remove_all(folder_); }

  void write_core(const std::string& script) const {
    std::ofstream(folder_ / "caprl-core") << "#!/bin/sh\n" << script << '\n';
    fs::permissions(folder_ / "caprl-core", fs::perms::owner_all);
  }
  Outcome run(const std::string& arguments, const std::string& environment = "") const {
    return run_shell(environment + " " + (folder_ / "caprl").string() + " " + arguments + " 2>&1");
  }

 private:
  fs::path folder_ = "/tmp/caprl_programs_test_" + std::to_string(::getpid());
};

TEST_F(Launcher, DoctorSaysWhyNothingStarts) {
  Outcome outcome = run("doctor");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.out.find("caprl-core cannot be started: No such file"), std::string::npos)
      << outcome.out;
  // As the dynamic linker does it.
  write_core("echo libtorch_cpu.so: no such file >&2; exit 127");
  outcome = run("doctor");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_NE(outcome.out.find("a library is missing"), std::string::npos) << outcome.out;
}

TEST_F(Launcher, ThreadsWaitAsTheUserSaysOrAFractionOfAMillisecond) {
  write_core("echo ${GOMP_SPINCOUNT-unset}");
  EXPECT_EQ(run("train", "env -u GOMP_SPINCOUNT -u OMP_WAIT_POLICY").out, "10000\n");
  EXPECT_EQ(run("train", "env -u OMP_WAIT_POLICY GOMP_SPINCOUNT=7").out, "7\n");
  EXPECT_EQ(run("train", "env -u GOMP_SPINCOUNT OMP_WAIT_POLICY=ACTIVE").out, "unset\n");
}

TEST(Programs, WrongCommandLines) {
  EXPECT_EQ(shell("caprl 2>&1").exit_code, 2);
  const Outcome outcome = shell("caprl trian 2>/dev/null");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
}

}  // namespace
