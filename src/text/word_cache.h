// Remembers the ids of short words, since text repeats its words.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace caprl {

/// Thread safe and bounded: once full it stops learning.
class WordCache {
 public:
  /// Appends the word's ids if they are known.
  bool append(std::string_view word, std::vector<int64_t>& ids) const;
  void insert(std::string_view word, const std::vector<int32_t>& ids);

 private:
  static constexpr size_t kMaxWordBytes = 64;
  static constexpr size_t kNumShards = 16;
  static constexpr size_t kMaxWordsPerShard = 8192;

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
  };
  struct Shard {
    mutable std::shared_mutex mutex;
    std::unordered_map<std::string, std::vector<int32_t>, Hash, std::equal_to<>> ids_of_word;
  };

  static size_t shard_of(std::string_view word) { return (Hash()(word) >> 32) % kNumShards; }

  std::array<Shard, kNumShards> shards_;
};

}  // namespace caprl
