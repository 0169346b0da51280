// A program that is killed again and again.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "caprl/core/files.h"
#include "support/temp_folder.h"

namespace caprl {

/// `usual`, or 100 with CAPRL_TEST_THOROUGH=1.
inline int num_kills(int usual) { return std::getenv("CAPRL_TEST_THOROUGH") ? 100 : usual; }

/// Starts the program, its output going to `log`, and kills it after `life` unless it has ended;
/// its exit code, −1: killed.
inline int run_for(const std::vector<std::string>& command, std::chrono::microseconds life,
                   const std::string& log = "/dev/null") {
  const pid_t child = ::fork();
  if (child == 0) {
    const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(file, STDOUT_FILENO);
    ::dup2(file, STDERR_FILENO);
    std::vector<const char*> arguments;
    for (const std::string& argument : command) arguments.push_back(argument.c_str());
    arguments.push_back(nullptr);
    ::execv(arguments[0], const_cast<char* const*>(arguments.data()));
    ::_exit(127);
  }
  const auto end = std::chrono::steady_clock::now() + life;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Whether a run's folder has records, and not yet the file that is written last.
inline bool is_midway(const std::filesystem::path& run, const char* last) {
  if (!std::filesystem::exists(run) || std::filesystem::exists(run / last)) return false;
  for (const auto& entry : std::filesystem::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    const bool is_record = name.ends_with(".jsonl") || name.ends_with(".parquet");
    if (is_record && !name.starts_with("manifest") && entry.file_size() > 0) return true;
  }
  return false;
}

/// Kills the program that many times, at random moments of `whole`, which is how long it takes
/// undisturbed. Whenever it has come to its end: ended(), which checks the run and takes it away,
/// so that the next start is a first one. Of many kills some have to leave it midway().
inline void run_under_kills(const std::vector<std::string>& command, int kills,
                            std::chrono::microseconds whole, const std::function<bool()>& midway,
                            const std::function<void()>& ended) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int64_t> moment(0, whole.count());
  int done = 0, done_midway = 0, num_ended = 0;
  bool has_ended = false;
  const TempFolder folder;
  const std::string log = (folder / "log").string();
  while (done < kills || !has_ended) {
    const bool is_last = done >= kills;
    const std::chrono::microseconds life =
        is_last ? std::chrono::minutes(5) : std::chrono::microseconds(moment(random));
    const int code = run_for(command, life, log);
    has_ended = code != -1;
    done += !has_ended;
    done_midway += !has_ended && midway();
    num_ended += has_ended;
    if (!has_ended) continue;
    ASSERT_EQ(code, 0) << read_file(log);
    ended();
  }
  std::cout << done << " kills, " << done_midway << " of them midway; " << num_ended << " ends\n";
  if (kills >= 100) EXPECT_GT(done_midway, kills / 10);
}

/// How long work() takes.
template <class Work>
std::chrono::microseconds duration_of(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() -
                                                               begin);
}

}  // namespace caprl
