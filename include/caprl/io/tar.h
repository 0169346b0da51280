// Archives of tar: POSIX (ustar, pax) and GNU, uncompressed.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "caprl/core/shared_bytes.h"

namespace caprl {

struct TarMember {
  std::string name;
  int64_t offset = 0;  // of its content in the archive, bytes
  int64_t size = 0;
  bool is_whole = true;  // false: the archive ends within it
};

/// An open archive. Immutable; thread safe.
class TarFile {
 public:
  /// InputError naming the path if it cannot be read or is compressed.
  explicit TarFile(std::filesystem::path path);
  ~TarFile();
  TarFile(const TarFile&) = delete;
  TarFile& operator=(const TarFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int64_t size() const { return size_; }
  /// InputError naming archive and place if it cannot be read, or is not all there.
  SharedBytes read(int64_t offset, int64_t size) const;

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  int64_t size_ = 0;
};

/// The regular files of an archive, in order; only headers are read. Not thread safe.
class TarReader {
 public:
  explicit TarReader(std::shared_ptr<const TarFile> file) : file_(std::move(file)) {}

  /// The next one; nothing at the end, after a member that is not whole, and after an error.
  /// InputError "FILE: byte N: …" for a damaged header, and if the archive lacks its end mark,
  /// which it does when it is cut short between two members.
  std::optional<TarMember> next();

 private:
  /// What headers before the member's own say about it.
  struct Named {
    std::string name;
    std::optional<int64_t> size;
  };
  std::string header_at(int64_t offset) const;
  void read_extension(char type, int64_t offset, int64_t size, Named& named) const;

  std::shared_ptr<const TarFile> file_;
  int64_t offset_ = 0;
  bool ended_ = false;
};

}  // namespace caprl
