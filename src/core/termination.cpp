#include "caprl/core/termination.h"

#include <atomic>
#include <csignal>

namespace caprl {
namespace {

std::atomic<int> received = 0;
static_assert(std::atomic<int>::is_always_lock_free);  // a signal handler may use nothing else

void note(int signal) {
  if (received.exchange(signal) != 0 && signal == SIGINT) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
}

}  // namespace

void catch_termination() {
  std::signal(SIGTERM, note);
  std::signal(SIGINT, note);
}

int termination_signal() { return received.load(); }

}  // namespace caprl
