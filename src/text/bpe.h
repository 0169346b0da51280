// Byte pair encoding of one word: merges neighbours in the order of the merge list until none is
// left.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/pair_table.h"
#include "text/symbols.h"
#include "text/word_cache.h"

namespace caprl {

struct BpeParts {
  Symbols symbols;
  std::vector<PairMerge> merges;  // in order of their rank
  /// Words that are looked up whole before merging (`ignore_merges`), by their bytes.
  std::unordered_map<std::string, int32_t> whole_words;
};

/// Thread safe.
class Bpe {
 public:
  explicit Bpe(BpeParts parts);

  /// Appends the word's ids. Time O(n log n) in its bytes.
  void encode(std::string_view word, std::vector<int64_t>& ids) const;

 private:
  std::vector<int32_t> merge(std::string_view word) const;

  Symbols symbols_;
  PairTable pairs_;
  std::unordered_map<std::string, int32_t> whole_words_;
  mutable WordCache cache_;
};

}  // namespace caprl
