#include "text/bpe.h"

#include <functional>
#include <queue>

namespace caprl {
namespace {

/// One symbol of the word: a doubly linked list inside a vector. A symbol that was merged into its
/// left neighbour has id −1.
struct Symbol {
  int32_t id = -1;
  int32_t previous = -1;
  int32_t next = -1;
};

/// Merges to try, lowest rank first, of equal ranks the leftmost; (rank << 32 | index of the left
/// symbol).
using Queue = std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>>;

}  // namespace

Bpe::Bpe(BpeParts parts)
    : symbols_(std::move(parts.symbols)),
      pairs_(parts.merges),
      whole_words_(std::move(parts.whole_words)) {}

void Bpe::encode(std::string_view word, std::vector<int64_t>& ids) const {
  if (cache_.append(word, ids)) return;
  const std::vector<int32_t> merged = merge(word);
  cache_.insert(word, merged);
  ids.insert(ids.end(), merged.begin(), merged.end());
}

std::vector<int32_t> Bpe::merge(std::string_view word) const {
  if (const auto whole = whole_words_.find(std::string(word)); whole != whole_words_.end())
    return {whole->second};

  std::vector<int32_t> ids;
  symbols_.append(word, ids);
  if (ids.size() < 2) return ids;
  const auto num_symbols = static_cast<int32_t>(ids.size());
  std::vector<Symbol> symbols(ids.size());
  for (int32_t i = 0; i < num_symbols; ++i)
    symbols[i] = {ids[i], i - 1, i + 1 < num_symbols ? i + 1 : -1};

  Queue queue;
  const auto pair_at = [&](int32_t i) -> const PairTable::Entry* {
    if (i < 0 || symbols[i].id < 0 || symbols[i].next < 0) return nullptr;
    return pairs_.find(symbols[i].id, symbols[symbols[i].next].id);
  };
  const auto offer = [&](int32_t i) {
    if (const PairTable::Entry* pair = pair_at(i))
      queue.push(uint64_t{static_cast<uint32_t>(pair->rank)} << 32 | static_cast<uint32_t>(i));
  };
  for (int32_t i = 0; i < num_symbols; ++i) offer(i);

  while (!queue.empty()) {
    const auto rank = static_cast<int32_t>(queue.top() >> 32);
    const auto left = static_cast<int32_t>(queue.top() & 0xFFFFFFFF);
    queue.pop();
    const PairTable::Entry* pair = pair_at(left);
    if (pair == nullptr || pair->rank != rank) continue;  // a merge beside it came first
    const int32_t right = symbols[left].next;
    symbols[left].id = pair->product;
    symbols[left].next = symbols[right].next;
    if (symbols[right].next >= 0) symbols[symbols[right].next].previous = left;
    symbols[right].id = -1;
    offer(symbols[left].previous);
    offer(left);
  }

  ids.clear();
  for (int32_t i = 0; i >= 0; i = symbols[i].next) ids.push_back(symbols[i].id);
  return ids;
}

}  // namespace caprl
