#include "faulty_system.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <map>

namespace caprl::test {
namespace {

struct Observation {
  std::vector<Call> calls;
  Fault fault = Fault::kNone;
  int fault_at = -1;
  // Files with bytes that no fsync has covered: a descriptor of the file and the size that is safe.
  std::map<std::pair<dev_t, ino_t>, std::pair<int, off_t>> unsynced;
};
Observation* observation = nullptr;

template <class Function>
Function* system_call(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::string path_of(int fd) {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), ignored).string();
}

std::string path_at(int folder, const char* path) {
  return folder == AT_FDCWD || path[0] == '/' ? path : path_of(folder) + "/" + path;
}

std::pair<dev_t, ino_t> identity(int fd, off_t* size = nullptr) {
  struct stat status {};
  ::fstat(fd, &status);
  if (size != nullptr) *size = status.st_size;
  return {status.st_dev, status.st_ino};
}

[[noreturn]] void die() {
  if (observation->fault == Fault::kLoseUnsynced)
    for (const auto& [file, safe] : observation->unsynced)
      if (::ftruncate(safe.first, safe.second) != 0) std::perror("ftruncate");
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

/// Notes a call; true if it is to fail with errno as set. May not return.
bool meets_fault(Call call, int error, const std::function<void()>& half = {}) {
  if (observation == nullptr) return false;
  const bool now = static_cast<int>(observation->calls.size()) == observation->fault_at;
  observation->calls.push_back(std::move(call));
  if (!now || observation->fault == Fault::kNone) return false;
  if (observation->fault != Fault::kFail) {
    if (observation->fault == Fault::kKillWithin && half) half();
    die();
  }
  errno = error;
  return true;
}

void note_write(int fd) {
  if (observation == nullptr) return;
  off_t size = 0;
  const auto file = identity(fd, &size);
  if (!observation->unsynced.contains(file)) observation->unsynced[file] = {::dup(fd), size};
}

}  // namespace

std::vector<Call> observe(const std::function<void()>& action, Fault fault, int fault_at) {
  Observation current{.calls = {}, .fault = fault, .fault_at = fault_at, .unsynced = {}};
  struct Scope {
    explicit Scope(Observation* o) { observation = o; }
    ~Scope() {
      for (const auto& [file, safe] : observation->unsynced) ::close(safe.first);
      observation = nullptr;
    }
  };
  {
    const Scope scope(&current);
    action();
  }
  return std::move(current.calls);
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

using caprl::test::meets_fault;
using caprl::test::note_write;
using caprl::test::observation;
using caprl::test::path_at;
using caprl::test::path_of;
using caprl::test::system_call;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (flags & (O_CREAT | O_TRUNC) && meets_fault({"create", path, ""}, ENOSPC)) return -1;
  return system_call<int(const char*, int, ...)>("open")(path, flags, mode);
}

ssize_t write(int fd, const void* data, size_t size) {
  const auto real = system_call<ssize_t(int, const void*, size_t)>("write");
  if (fd <= 2) return real(fd, data, size);  // messages
  note_write(fd);
  if (meets_fault({"write", observation ? path_of(fd) : "", ""}, ENOSPC,
                  [&] { [[maybe_unused]] const ssize_t half = real(fd, data, size / 2); }))
    return -1;
  return real(fd, data, size);
}

int fsync(int fd) {
  if (meets_fault({"fsync", observation ? path_of(fd) : "", ""}, EIO)) return -1;
  const int result = system_call<int(int)>("fsync")(fd);
  if (observation != nullptr && result == 0) {
    const auto found = observation->unsynced.find(caprl::test::identity(fd));
    if (found != observation->unsynced.end()) {
      ::close(found->second.first);
      observation->unsynced.erase(found);
    }
  }
  return result;
}

int rename(const char* from, const char* to) noexcept {
  if (meets_fault({"rename", from, to}, ENOSPC)) return -1;
  return system_call<int(const char*, const char*)>("rename")(from, to);
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (meets_fault({"mkdir", path, ""}, ENOSPC)) return -1;
  return system_call<int(const char*, mode_t)>("mkdir")(path, mode);
}

int symlink(const char* target, const char* path) noexcept {
  if (meets_fault({"symlink", path, ""}, ENOSPC)) return -1;
  return system_call<int(const char*, const char*)>("symlink")(target, path);
}

int unlink(const char* path) noexcept {
  if (meets_fault({"unlink", path, ""}, EIO)) return -1;
  return system_call<int(const char*)>("unlink")(path);
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  if (meets_fault({"unlink", observation ? path_at(folder, path) : "", ""}, EIO)) return -1;
  return system_call<int(int, const char*, int)>("unlinkat")(folder, path, flags);
}

int rmdir(const char* path) noexcept {
  if (meets_fault({"rmdir", path, ""}, EIO)) return -1;
  return system_call<int(const char*)>("rmdir")(path);
}

int remove(const char* path) noexcept {
  if (meets_fault({"remove", path, ""}, EIO)) return -1;
  return system_call<int(const char*)>("remove")(path);
}

}  // extern "C"
