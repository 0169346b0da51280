#include "page_pool.h"

#include "caprl/core/error.h"

namespace caprl {

PagePool::PagePool(int64_t num_pages) : holders_(num_pages, 0) {
  for (int64_t page = num_pages - 1; page >= 0; --page) free_.push_back(static_cast<int32_t>(page));
}

std::optional<int32_t> PagePool::take() {
  if (free_.empty()) return std::nullopt;
  const int32_t page = free_.back();
  free_.pop_back();
  holders_[page] = 1;
  return page;
}

void PagePool::share(int32_t page) {
  if (holders_.at(page) < 1) throw Error("[page pool] page {} is shared but nobody holds it", page);
  ++holders_[page];
}

void PagePool::give_back(int32_t page) {
  if (holders_.at(page) < 1) throw Error("[page pool] page {} is given back twice", page);
  if (--holders_[page] == 0) free_.push_back(page);
}

}  // namespace caprl
