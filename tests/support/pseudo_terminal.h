// A program on a terminal of the test's own.
#pragma once
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>

#include "support/screen.h"

namespace caprl {

class PseudoTerminal {
 public:
  /// `child` runs in a process of its own, whose terminal is this one, of type xterm and in UTF-8.
  PseudoTerminal(int columns, int rows, const std::function<void()>& child)
      : screen(columns, rows) {
    winsize size{};
    size.ws_col = static_cast<unsigned short>(columns);
    size.ws_row = static_cast<unsigned short>(rows);
    pid_ = ::forkpty(&fd_, nullptr, nullptr, &size);
    if (pid_ < 0) throw std::runtime_error("forkpty failed");
    if (pid_ > 0) return;
    ::setenv("TERM", "xterm-256color", 1);
    ::setenv("LC_ALL", "C.UTF-8", 1);
    ::unsetenv("NO_COLOR");
    child();
    std::fflush(nullptr);
    ::_exit(0);
  }
  ~PseudoTerminal() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(fd_);
  }
  PseudoTerminal(const PseudoTerminal&) = delete;
  PseudoTerminal& operator=(const PseudoTerminal&) = delete;

  /// Reads until `done`, or nothing more comes: false; at most `seconds`.
  bool read_until(const std::function<bool()>& done, double seconds = 20) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      if (!read_once(20)) return done();
    }
    return true;
  }
  bool shows(const std::string& text) const {
    return screen.text().find(text) != std::string::npos;
  }
  bool read_until_shown(const std::string& text, double seconds = 20) {
    return read_until([&] { return shows(text); }, seconds);
  }
  /// What is on its way.
  void read_rest() {
    while (waits(30) && read_once(0)) {
    }
  }
  void resize(int columns, int rows, bool reflows) {
    winsize size{};
    size.ws_col = static_cast<unsigned short>(columns);
    size.ws_row = static_cast<unsigned short>(rows);
    ::ioctl(fd_, TIOCSWINSZ, &size);
    screen.resize(columns, rows, reflows);
  }
  void press(const std::string& keys) { (void)!::write(fd_, keys.data(), keys.size()); }

  /// Reads to the end; the status of waitpid.
  int wait(double seconds = 60) {
    read_until([] { return false; }, seconds);
    int status = -1;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

  Screen screen;
  std::string output;  // all bytes

 private:
  bool waits(int milliseconds) {
    pollfd event{fd_, POLLIN, 0};
    return ::poll(&event, 1, milliseconds) > 0;
  }
  /// False: the child has closed its side.
  bool read_once(int milliseconds) {
    if (!waits(milliseconds)) return true;
    char buffer[4096];
    const ssize_t size = ::read(fd_, buffer, sizeof(buffer));
    if (size <= 0) return false;
    output.append(buffer, static_cast<size_t>(size));
    screen.feed({buffer, static_cast<size_t>(size)});
    return true;
  }

  int fd_ = -1;
  pid_t pid_ = -1;
};

}  // namespace caprl
