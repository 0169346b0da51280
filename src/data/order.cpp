#include "caprl/core/error.h"
#include "caprl/data/dataset.h"

namespace caprl {

DataOrder::DataOrder(int64_t num_items, int64_t batch_size, bool shuffle, uint64_t seed)
    : num_items_(num_items), batch_size_(batch_size), shuffle_(shuffle), seed_(seed) {
  if (num_items < 1) throw InputError("the data has no usable rows: expected at least 1, got 0");
}

std::vector<DataOrder::Item> DataOrder::step(int64_t step) const {
  std::vector<Item> items;
  items.reserve(batch_size_);
  std::vector<int64_t> permutation;
  int64_t permuted_epoch = -1;
  for (int64_t place = (step - 1) * batch_size_; place < step * batch_size_; ++place) {
    const int64_t epoch = place / num_items_;
    if (shuffle_ && epoch != permuted_epoch) {
      permutation = CounterRng(seed_, RandomPurpose::kDataOrder, {static_cast<uint64_t>(epoch)})
                        .permutation(num_items_, 0);
      permuted_epoch = epoch;
    }
    const int64_t offset = place % num_items_;
    items.push_back({shuffle_ ? permutation[offset] : offset, place});
  }
  return items;
}

double DataOrder::epochs(int64_t step) const {
  return static_cast<double>(step * batch_size_) / static_cast<double>(num_items_);
}

}  // namespace caprl
