#include "caprl/core/termination.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>

namespace caprl {
namespace {

std::atomic<int> received = 0;
std::atomic<const char*> parting = nullptr;
// A signal handler may use nothing else.
static_assert(std::atomic<int>::is_always_lock_free &&
              std::atomic<const char*>::is_always_lock_free);

void note(int signal) {
  if (received.exchange(signal) != 0 && signal == SIGINT) {
    if (const char* text = parting.load()) (void)!::write(STDERR_FILENO, text, std::strlen(text));
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
}

}  // namespace

void catch_termination() {
  std::signal(SIGTERM, note);
  std::signal(SIGINT, note);
}

void set_parting(const char* text) { parting = text; }

int termination_signal() { return received.load(); }

}  // namespace caprl
