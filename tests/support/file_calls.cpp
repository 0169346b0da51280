#include "support/file_calls.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <filesystem>

namespace caprl::test {
namespace {

CallObserver* observer = nullptr;

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

bool fails(const Call& call, int error, const std::function<void()>& half = {}) {
  if (observer == nullptr || !observer->fails(call, error, half)) return false;
  errno = error;
  return true;
}

}  // namespace

void set_call_observer(CallObserver* given) { observer = given; }

}  // namespace caprl::test

using caprl::test::fails;
using caprl::test::observer;
using caprl::test::path_at;
using caprl::test::path_of;
using caprl::test::system_call;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if (flags & (O_CREAT | O_TRUNC) && fails({"create", path, ""}, ENOSPC)) return -1;
  return system_call<int(const char*, int, ...)>("open")(path, flags, mode);
}

ssize_t write(int fd, const void* data, size_t size) {
  const auto real = system_call<ssize_t(int, const void*, size_t)>("write");
  if (fd <= 2) return real(fd, data, size);  // messages
  if (observer != nullptr) observer->will_write(fd);
  if (fails({"write", observer ? path_of(fd) : "", ""}, ENOSPC,
            [&] { [[maybe_unused]] const ssize_t half = real(fd, data, size / 2); }))
    return -1;
  return real(fd, data, size);
}

int fsync(int fd) {
  if (fails({"fsync", observer ? path_of(fd) : "", ""}, EIO)) return -1;
  const int result = system_call<int(int)>("fsync")(fd);
  if (observer != nullptr && result == 0) observer->has_synced(fd);
  return result;
}

int rename(const char* from, const char* to) noexcept {
  if (fails({"rename", from, to}, ENOSPC)) return -1;
  return system_call<int(const char*, const char*)>("rename")(from, to);
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (fails({"mkdir", path, ""}, ENOSPC)) return -1;
  return system_call<int(const char*, mode_t)>("mkdir")(path, mode);
}

int symlink(const char* target, const char* path) noexcept {
  if (fails({"symlink", path, ""}, ENOSPC)) return -1;
  return system_call<int(const char*, const char*)>("symlink")(target, path);
}

int unlink(const char* path) noexcept {
  if (fails({"unlink", path, ""}, EIO)) return -1;
  return system_call<int(const char*)>("unlink")(path);
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  if (fails({"unlink", observer ? path_at(folder, path) : "", ""}, EIO)) return -1;
  return system_call<int(int, const char*, int)>("unlinkat")(folder, path, flags);
}

int rmdir(const char* path) noexcept {
  if (fails({"rmdir", path, ""}, EIO)) return -1;
  return system_call<int(const char*)>("rmdir")(path);
}

int remove(const char* path) noexcept {
  if (fails({"remove", path, ""}, EIO)) return -1;
  return system_call<int(const char*)>("remove")(path);
}

}  // extern "C"
