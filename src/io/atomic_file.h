// A file written piece by piece that appears under its name only when it is whole and on disk.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace caprl {

/// Writes beside the target. Every failure is an Error naming the target; without commit() nothing
/// is left behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Syncs the file, renames it to the target, syncs the folder.
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;

  void sync();

  std::filesystem::path target_, temporary_;
  int fd_ = -1;
  size_t unsynced_ = 0;  // bytes written since the last sync
};

}  // namespace caprl
