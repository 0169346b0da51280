// Preloaded (LD_PRELOAD) into a rank of a run: SIGKILL in place of the file system call with number
// DIE_AT (from 0; −1: none), counted in the process whose RANK is DIE_RANK, among calls on paths
// below DIE_UNDER. Each call counted is a line of the file DIE_LOG.
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <mutex>

#include "support/file_calls.h"

namespace caprl::test {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

class Executioner : public CallObserver {
 public:
  Executioner() : under_(variable("DIE_UNDER")), at_(std::atoi(variable("DIE_AT").c_str())) {
    if (under_.empty() || variable("RANK") != variable("DIE_RANK")) return;
    log_ = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, variable("DIE_LOG").c_str(),
                                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    set_call_observer(this);
  }

  bool fails(const Call& call, int, const std::function<void()>&) override {
    if (!call.path.starts_with(under_)) return false;
    const std::lock_guard lock(mutex_);
    if (count_++ == at_) {
      ::kill(::getpid(), SIGKILL);
      for (;;) ::pause();
    }
    const std::string line = call.name + " " + call.path + "\n";
    ::syscall(SYS_write, log_, line.data(), line.size());
    return false;
  }

 private:
  std::string under_;
  int at_, count_ = 0, log_ = -1;
  std::mutex mutex_;
};

[[maybe_unused]] Executioner* executioner = new Executioner;  // for ever: until the process ends

}  // namespace
}  // namespace caprl::test
