// Which items of many: a bit each.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace caprl {

class IndexSet {
 public:
  /// `index` is not negative. Memory grows with the largest one.
  void insert(int64_t index) {
    const auto word = static_cast<size_t>(index / 64);
    if (word >= words_.size()) words_.resize(word + 1);
    const uint64_t bit = uint64_t{1} << (index % 64);
    size_ += (words_[word] & bit) == 0;
    words_[word] |= bit;
  }
  bool contains(int64_t index) const {
    const auto word = static_cast<size_t>(index / 64);
    return word < words_.size() && ((words_[word] >> (index % 64)) & 1) != 0;
  }
  int64_t size() const { return size_; }

 private:
  std::vector<uint64_t> words_;
  int64_t size_ = 0;
};

}  // namespace caprl
