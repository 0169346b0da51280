#include "text/pair_table.h"

#include <bit>

namespace caprl {

PairTable::PairTable(const std::vector<PairMerge>& merges)
    : slots_(std::bit_ceil(2 * merges.size() + 1)) {
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const PairMerge& merge = merges[rank];
    slots_[slot_of(merge.left, merge.right)] = {merge.left, merge.right, static_cast<int32_t>(rank),
                                                merge.product};
  }
}

size_t PairTable::slot_of(int32_t left, int32_t right) const {
  const uint64_t key = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  const uint64_t hash =
      key * 0x9E3779B97F4A7C15;  // Fibonacci hashing; its high bits are the mixed ones
  const size_t mask = slots_.size() - 1;
  size_t slot = (hash >> 32) & mask;
  while (slots_[slot].left >= 0 && (slots_[slot].left != left || slots_[slot].right != right))
    slot = (slot + 1) & mask;
  return slot;
}

}  // namespace caprl
