#include "text/word_cache.h"

#include <mutex>

namespace caprl {

bool WordCache::append(std::string_view word, std::vector<int64_t>& ids) const {
  if (word.size() > kMaxWordBytes) return false;
  const Shard& shard = shards_[shard_of(word)];
  const std::shared_lock lock(shard.mutex);
  const auto known = shard.ids_of_word.find(word);
  if (known == shard.ids_of_word.end()) return false;
  ids.insert(ids.end(), known->second.begin(), known->second.end());
  return true;
}

void WordCache::insert(std::string_view word, const std::vector<int32_t>& ids) {
  if (word.size() > kMaxWordBytes) return;
  Shard& shard = shards_[shard_of(word)];
  const std::unique_lock lock(shard.mutex);
  if (shard.ids_of_word.size() < kMaxWordsPerShard) shard.ids_of_word.emplace(word, ids);
}

}  // namespace caprl
