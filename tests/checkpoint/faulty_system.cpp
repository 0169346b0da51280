#include "faulty_system.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <map>

namespace caprl::test {
namespace {

std::pair<dev_t, ino_t> identity(int fd, off_t* size = nullptr) {
  struct stat status {};
  ::fstat(fd, &status);
  if (size != nullptr) *size = status.st_size;
  return {status.st_dev, status.st_ino};
}

/// Observes calls while it lives.
class Observation : public CallObserver {
 public:
  Observation(Fault fault, int fault_at) : fault_(fault), fault_at_(fault_at) {
    set_call_observer(this);
  }
  ~Observation() override {
    set_call_observer(nullptr);
    for (const auto& [file, safe] : unsynced_) ::close(safe.first);
  }

  bool fails(const Call& call, int, const std::function<void()>& half) override {
    const bool now = static_cast<int>(calls.size()) == fault_at_;
    calls.push_back(call);
    if (!now || fault_ == Fault::kNone) return false;
    if (fault_ == Fault::kFail) return true;
    if (fault_ == Fault::kKillWithin && half) half();
    die();
  }

  void will_write(int fd) override {
    off_t size = 0;
    const auto file = identity(fd, &size);
    if (!unsynced_.contains(file)) unsynced_[file] = {::dup(fd), size};
  }

  void has_synced(int fd) override {
    const auto found = unsynced_.find(identity(fd));
    if (found == unsynced_.end()) return;
    ::close(found->second.first);
    unsynced_.erase(found);
  }

  std::vector<Call> calls;

 private:
  [[noreturn]] void die() const {
    if (fault_ == Fault::kLoseUnsynced)
      for (const auto& [file, safe] : unsynced_)
        if (::ftruncate(safe.first, safe.second) != 0) std::perror("ftruncate");
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
  }

  Fault fault_;
  int fault_at_;
  // Files with bytes that no fsync has covered: a descriptor of the file and the size that is safe.
  std::map<std::pair<dev_t, ino_t>, std::pair<int, off_t>> unsynced_;
};

}  // namespace

std::vector<Call> observe(const std::function<void()>& action, Fault fault, int fault_at) {
  Observation observation(fault, fault_at);
  action();
  return std::move(observation.calls);
}

bool dies_in(const std::function<void()>& action, Fault fault, int fault_at) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      observe(action, fault, fault_at);
      ::_exit(0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "the child failed: %s\n", error.what());
      ::_exit(1);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return true;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  return false;
}

}  // namespace caprl::test
