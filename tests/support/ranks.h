// Several processes of one program, as a launcher starts them.
#pragma once
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace caprl {

/// A TCP port of this machine that was free a moment ago.
inline int free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no free port");
  ::close(fd);
  return ntohs(address.sin_port);
}

/// The ranks of one run on this machine. Those still running are killed in the end.
class Ranks {
 public:
  struct Result {
    int code = -1;    // −1: killed by a signal
    int signal = 0;   // 0: left by itself
    std::string log;  // its stdout and stderr
  };

  using Variables = std::vector<std::pair<std::string, std::string>>;

  /// Starts `size` processes, each logging to FOLDER/rank_N.log. Some of them only, if `started` is
  /// less than `size`. `extra`: variables of their environment besides the launcher's.
  Ranks(const std::filesystem::path& folder, int size, const std::vector<std::string>& command,
        int started = -1, Variables extra = {})
      : folder_(folder), extra_(std::move(extra)) {
    std::filesystem::create_directories(folder);
    const int port = free_port();
    for (int rank = 0; rank < (started < 0 ? size : started); ++rank)
      pids_.push_back(start(rank, size, port, command));
    results_.resize(pids_.size());
  }
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;
  ~Ranks() {
    for (size_t r = 0; r < pids_.size(); ++r)
      if (pids_[r] > 0) {
        ::kill(pids_[r], SIGKILL);
        ::waitpid(pids_[r], nullptr, 0);
      }
  }

  void signal(int rank, int number) const { ::kill(pids_.at(static_cast<size_t>(rank)), number); }

  /// Whether all have ended by now.
  bool ended() {
    bool all = true;
    for (size_t r = 0; r < pids_.size(); ++r) {
      if (pids_[r] == 0) continue;
      int status = 0;
      if (::waitpid(pids_[r], &status, WNOHANG) == 0) {
        all = false;
        continue;
      }
      pids_[r] = 0;
      results_[r].code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      results_[r].signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    }
    return all;
  }

  /// Waits until `condition` holds. std::runtime_error with everyone's log if all have ended
  /// without it, or it takes too long.
  void wait_until(const std::function<bool()>& condition,
                  std::chrono::seconds limit = std::chrono::seconds(120)) {
    const auto until = std::chrono::steady_clock::now() + limit;
    for (bool last = false; !condition(); last = ended()) {
      if (last || std::chrono::steady_clock::now() > until)
        throw std::runtime_error(still_running());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  /// Waits until `rank` has logged `text`, as wait_until.
  void wait_for_log(int rank, const std::string& text) {
    wait_until([&] { return log(rank).find(text) != std::string::npos; });
  }

  /// Waits for all, as wait_until.
  std::vector<Result> wait(std::chrono::seconds limit = std::chrono::seconds(120)) {
    wait_until([&] { return ended(); }, limit);
    for (size_t r = 0; r < results_.size(); ++r) results_[r].log = log(static_cast<int>(r));
    return results_;
  }

  /// Who has not ended, and everyone's log.
  std::string still_running() const {
    std::ostringstream text;
    for (size_t r = 0; r < pids_.size(); ++r)
      text << "rank " << r << (pids_[r] > 0 ? " is still running:\n" : " has ended:\n")
           << log(static_cast<int>(r));
    return text.str();
  }

  std::string log(int rank) const {
    std::ostringstream text;
    text << std::ifstream(log_file(rank)).rdbuf();
    return text.str();
  }

 private:
  std::filesystem::path log_file(int rank) const {
    return folder_ / ("rank_" + std::to_string(rank) + ".log");
  }

  pid_t start(int rank, int size, int port, const std::vector<std::string>& command) const {
    std::vector<const char*> arguments;
    for (const std::string& argument : command) arguments.push_back(argument.c_str());
    arguments.push_back(nullptr);
    const std::string log = log_file(rank).string();
    const pid_t child = ::fork();
    if (child != 0) return child;
    const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
    const auto set = [](const char* name, int value) {
      ::setenv(name, std::to_string(value).c_str(), 1);
    };
    set("RANK", rank);
    set("WORLD_SIZE", size);
    set("LOCAL_RANK", rank);
    set("LOCAL_WORLD_SIZE", size);
    set("MASTER_PORT", port);
    ::setenv("MASTER_ADDR", "127.0.0.1", 1);
    for (const auto& [name, value] : extra_) ::setenv(name.c_str(), value.c_str(), 1);
    ::execv(arguments[0], const_cast<char* const*>(arguments.data()));
    ::_exit(127);
  }

  std::filesystem::path folder_;
  Variables extra_;
  std::vector<pid_t> pids_;  // 0: ended
  std::vector<Result> results_;
};

}  // namespace caprl
