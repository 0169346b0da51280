// Equal keys among many, found without holding the keys.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

namespace caprl {

struct Duplicate {
  int64_t index = 0, first = 0;    // items
  std::string where, first_where;  // their places
};

/// Keys are kept as 128-bit hashes in the file `scratch`, which is gone in the end.
class DuplicateFinder {
 public:
  static constexpr size_t kDefaultMost = size_t{1} << 21;

  explicit DuplicateFinder(std::filesystem::path scratch);
  ~DuplicateFinder();
  DuplicateFinder(const DuplicateFinder&) = delete;
  DuplicateFinder& operator=(const DuplicateFinder&) = delete;

  void add(int64_t index, std::string_view key, std::string_view where);
  /// report() of every item whose key an earlier index has, too. Reads the file several times, with
  /// about `most` hashes in memory each time.
  void find(const std::function<void(const Duplicate&)>& report, size_t most = kDefaultMost);

 private:
  struct Entry;
  void find_pass(size_t pass, size_t num_passes, std::ifstream& file,
                 const std::function<void(const Duplicate&)>& report) const;
  std::filesystem::path scratch_;
  std::ofstream out_;
  size_t count_ = 0;
};

}  // namespace caprl
