// Paths in order, however many.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace caprl {

/// Sorts by merging: what does not fit into `memory_bytes` lies in unfinished files
/// beside `scratch` (core/files.h), which are gone in the end.
class PathSorter {
 public:
  static constexpr size_t kDefaultMemory = size_t{1} << 26;

  explicit PathSorter(std::filesystem::path scratch, size_t memory_bytes = kDefaultMemory);
  ~PathSorter();
  PathSorter(const PathSorter&) = delete;
  PathSorter& operator=(const PathSorter&) = delete;

  void add(std::string path);
  /// Appends all of them to the file, each ended by a zero byte; how many. Error naming the path
  /// that cannot be written. To be called once.
  int64_t append_to(const std::filesystem::path& file);

 private:
  void spill();
  std::filesystem::path scratch_;
  size_t memory_bytes_, held_bytes_ = 0;
  std::vector<std::string> held_;
  std::vector<std::filesystem::path> spilled_;
};

}  // namespace caprl
