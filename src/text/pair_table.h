// Rank and product of a pair of neighbouring tokens: a hash table with open addressing, the
// tokenizer's innermost lookup.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace caprl {

struct PairMerge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t product = 0;
};

class PairTable {
 public:
  struct Entry {
    int32_t left = -1;  // −1: the slot is empty
    int32_t right = -1;
    int32_t rank = 0;
    int32_t product = 0;
  };

  /// The rank is the position in `merges`; of equal pairs the last one counts.
  explicit PairTable(const std::vector<PairMerge>& merges);

  /// Null if the pair does not merge.
  const Entry* find(int32_t left, int32_t right) const {
    const Entry& entry = slots_[slot_of(left, right)];
    return entry.left < 0 ? nullptr : &entry;
  }

 private:
  /// The pair's slot, or the empty one where it belongs.
  size_t slot_of(int32_t left, int32_t right) const;

  std::vector<Entry> slots_;  // a power of two, at most half full
};

}  // namespace caprl
