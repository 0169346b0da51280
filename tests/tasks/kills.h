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
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "caprl/core/files.h"
#include "support/temp_folder.h"

namespace caprl {

/// `usual`, or 100 with CAPRL_TEST_THOROUGH=1.
inline int num_kills(int usual) { return std::getenv("CAPRL_TEST_THOROUGH") ? 100 : usual; }

/// Starts the program, its output going to `log`, and kills it `life` after has_begun() unless it
/// has ended; its exit code, −1: killed.
inline int run_for(
    const std::vector<std::string>& command, std::chrono::microseconds life,
    const std::string& log = "/dev/null",
    const std::function<bool()>& has_begun = [] { return true; }) {
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
  std::optional<std::chrono::steady_clock::time_point> end;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (!end && has_begun()) end = std::chrono::steady_clock::now() + life;
    if (end && std::chrono::steady_clock::now() > *end) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Of the records in a run's folder.
inline int64_t bytes_written(const std::filesystem::path& run) {
  int64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(run, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const bool is_record = name.ends_with(".jsonl") || name.ends_with(".parquet");
    std::error_code gone;
    const auto size = is_record && !name.starts_with("manifest") ? entry->file_size(gone) : 0;
    if (!gone) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

/// A program, the folder that it writes to, the file that it writes last, and how long it takes
/// undisturbed.
struct KilledRun {
  std::vector<std::string> command;
  std::filesystem::path folder;
  std::string last_file;
  std::chrono::microseconds duration;
};

/// Kills the program that many times: at random moments of its life, and every second time at one
/// soon after it has written something. Whenever it has come to its end: ended(), which checks the
/// run; its folder then goes, so that the next start is a first one.
inline void run_under_kills(const KilledRun& run, int kills, const std::function<void()>& ended) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int64_t> moment(0, run.duration.count());
  int done = 0, midway = 0, ends = 0;
  bool has_ended = false;
  const TempFolder folder;
  const std::string log = (folder / "log").string();
  while (done < kills || !has_ended) {
    const int64_t before = bytes_written(run.folder);
    const bool is_last = done >= kills, is_writing = !is_last && done % 2 == 1;
    const std::chrono::microseconds life =
        is_last ? std::chrono::minutes(5)
                : std::chrono::microseconds(moment(random)) / (is_writing ? 8 : 1);
    const int code = run_for(run.command, life, log,
                             [&] { return !is_writing || bytes_written(run.folder) != before; });
    has_ended = code != -1;
    done += !has_ended;
    ends += has_ended;
    midway += !has_ended && bytes_written(run.folder) > 0 &&
              !std::filesystem::exists(run.folder / run.last_file);
    if (!has_ended) continue;
    ASSERT_EQ(code, 0) << read_file(log);
    ended();
    std::filesystem::remove_all(run.folder);
  }
  std::cout << done << " kills, " << midway << " of them midway; " << ends << " ends\n";
  EXPECT_GT(midway, 0);
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
