// Who holds which page of the cache. No tensors here.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

namespace caprl {

/// Pages with a count of their holders. A page that several hold must not be written.
class PagePool {
 public:
  explicit PagePool(int64_t num_pages);

  /// A page with one holder; absent if none is free.
  std::optional<int32_t> take();
  /// One holder more.
  void share(int32_t page);
  /// One holder less; without holders the page is free.
  void give_back(int32_t page);
  /// Adds, and takes away, a holder that has the page in reserve for others: without any other
  /// holder the page is idle.
  void keep(int32_t page);
  void unkeep(int32_t page);

  bool is_shared(int32_t page) const { return holders_[page] > 1; }
  int64_t num_free() const { return static_cast<int64_t>(free_.size()); }
  int64_t num_idle() const { return num_idle_; }
  int64_t num_pages() const { return static_cast<int64_t>(holders_.size()); }

 private:
  std::vector<int32_t> free_;  // the last one is taken next
  std::vector<int32_t> holders_;
  std::vector<bool> is_kept_;
  int64_t num_idle_ = 0;
};

}  // namespace caprl
