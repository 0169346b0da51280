#include "atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/pulse.h"

namespace caprl {

AtomicFile::AtomicFile(std::filesystem::path target) : target_(std::move(target)) {
  temporary_ = unfinished_path(target_);
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail("create");
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::fail(const char* what) const {
  throw Error("{}: cannot {}: {}", target_.string(), what, std::strerror(errno));
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  // Synced piece by piece: a slow disk would need minutes for the whole of a large file at its end.
  constexpr size_t kPiece = size_t{1} << 28;
  while (!bytes.empty()) {
    pulse();
    if (unsynced_ >= kPiece) sync();
    const ssize_t written = ::write(fd_, bytes.data(), std::min(bytes.size(), kPiece));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write");
    bytes = bytes.subspan(static_cast<size_t>(written));
    unsynced_ += static_cast<size_t>(written);
  }
}

void AtomicFile::sync() {
  if (::fsync(fd_) != 0) fail("sync");
  unsynced_ = 0;
}

void AtomicFile::commit() {
  sync();
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("rename the finished file");
  // Some file systems report a failed write only here.
  if (::close(std::exchange(fd_, -1)) != 0) fail("close");
  sync_path(target_.has_parent_path() ? target_.parent_path() : ".");
}

}  // namespace caprl
