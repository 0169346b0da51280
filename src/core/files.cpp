#include "caprl/core/files.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "caprl/core/error.h"
#include "caprl/core/pulse.h"

namespace caprl {
namespace {

constexpr std::string_view kUnfinished = ".tmp-";

/// An open file descriptor.
class File {
 public:
  File(const std::filesystem::path& path, int flags) : File(path, flags, path) {}
  /// `name`: what errors call it.
  File(const std::filesystem::path& path, int flags, const std::filesystem::path& name)
      : name_(name), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail("cannot be opened");
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }

  void write(std::string_view content) {
    while (!content.empty()) {
      pulse();
      const ssize_t written = ::write(fd_, content.data(), content.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("cannot be written");
      content.remove_prefix(static_cast<size_t>(written));
    }
  }
  size_t read(std::span<char> buffer) {
    pulse();
    for (;;) {
      const ssize_t got = ::read(fd_, buffer.data(), buffer.size());
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) fail("cannot be read");
    }
  }
  void sync() {
    if (::fsync(fd_) != 0) fail("cannot be synced to disk");
  }
  void close() {
    const int fd = std::exchange(fd_, -1);
    if (::close(fd) != 0) fail("cannot be closed");
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw Error("{} {}: {}", name_.string(), what, std::strerror(errno));
  }
  std::filesystem::path name_;
  int fd_;
};

std::string to_hex(XXH128_hash_t hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  try {
    File file(path, O_RDONLY);
    std::string content;
    std::vector<char> buffer(1 << 16);
    while (const size_t got = file.read(buffer)) content.append(buffer.data(), got);
    return content;
  } catch (const Error& error) {
    throw InputError("{}", error.what());
  }
}

void write_file_atomic(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path temporary = unfinished_path(path);
  try {
    File file(temporary, O_WRONLY | O_CREAT | O_TRUNC, path);
    file.write(content);
    file.sync();
    file.close();
    if (::rename(temporary.c_str(), path.c_str()) != 0)
      throw Error("{} cannot be renamed to {}: {}", temporary.string(), path.string(),
                  std::strerror(errno));
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_path(path.has_parent_path() ? path.parent_path() : ".");
}

std::filesystem::path unfinished_path(const std::filesystem::path& target) {
  return target.parent_path() /
         fmt::format(".{}{}{}", target.filename().string(), kUnfinished, ::getpid());
}

void remove_unfinished(const std::filesystem::path& folder) {
  const auto is_unfinished = [](const std::string& name) {
    const auto mark = name.rfind(kUnfinished);
    return name.starts_with('.') && mark != std::string::npos &&
           name.find_first_not_of("0123456789", mark + kUnfinished.size()) == std::string::npos;
  };
  std::vector<std::filesystem::path> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none))
    if (entry.is_regular_file() && is_unfinished(entry.path().filename().string()))
      found.push_back(entry.path());
  for (const auto& path : found) std::filesystem::remove(path);
}

void sync_path(const std::filesystem::path& path) { File(path, O_RDONLY).sync(); }

void sync_tree(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_directory())
      sync_tree(entry.path());
    else if (entry.is_regular_file())
      sync_path(entry.path());
  }
  sync_path(folder);
}

std::string hash_file(const std::filesystem::path& path) {
  File file(path, O_RDONLY);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::vector<char> buffer(1 << 20);
  while (const size_t got = file.read(buffer)) XXH3_128bits_update(state.get(), buffer.data(), got);
  return to_hex(XXH3_128bits_digest(state.get()));
}

std::string hash_bytes(std::span<const std::byte> bytes) {
  return to_hex(XXH3_128bits(bytes.data(), bytes.size()));
}

}  // namespace caprl
