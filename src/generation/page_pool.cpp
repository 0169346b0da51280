#include "page_pool.h"

#include "caprl/core/error.h"

namespace caprl {

PagePool::PagePool(int64_t num_pages) : holders_(num_pages, 0), is_kept_(num_pages, false) {
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
  if (++holders_[page] == 2 && is_kept_[page]) --num_idle_;
}

void PagePool::give_back(int32_t page) {
  if (holders_.at(page) < 1) throw Error("[page pool] page {} is given back twice", page);
  if (--holders_[page] == 0) free_.push_back(page);
  if (holders_[page] == 1 && is_kept_[page]) ++num_idle_;
}

void PagePool::keep(int32_t page) {
  share(page);
  is_kept_[page] = true;
}

void PagePool::unkeep(int32_t page) {
  if (!is_kept_.at(page)) throw Error("[page pool] page {} is not kept", page);
  is_kept_[page] = false;
  if (holders_[page] == 1) --num_idle_;
  give_back(page);
}

}  // namespace caprl
