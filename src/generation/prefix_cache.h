// Prompts that begin alike share the pages of their beginning.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "caprl/ops/paged_attention.h"
#include "page_pool.h"

namespace caprl {

/// Whole pages of token ids, as a tree: a page is known by its tokens and by the page before it.
/// Holds every known page once; those that nobody else holds are given back when pages run out, the
/// one first that was used longest ago. No tensors here.
class PrefixCache {
 public:
  /// The pool must live as long.
  explicit PrefixCache(PagePool& pool) : pool_(pool) {}

  /// Pages that hold the longest known beginning of `ids`, in order, each with one holder more.
  std::vector<int32_t> find(std::span<const int64_t> ids);
  /// Makes known that page i holds the tokens from ids[i · page size] on. Where other pages are
  /// known for the same tokens, those stay.
  void add(std::span<const int64_t> ids, std::span<const int32_t> pages);
  /// Gives a page back that only the cache holds; false: there is none.
  bool evict();

 private:
  using Tokens = std::array<int64_t, ops::kKvPageSize>;
  static constexpr int64_t kRoot = -1;
  struct Node {
    int64_t parent = kRoot;
    Tokens tokens{};
    int32_t page = 0;
    int64_t num_children = 0;
    uint64_t last_use = 0;
  };

  static Tokens tokens_of_page(std::span<const int64_t> ids, int64_t page);
  void use(int64_t node);

  PagePool& pool_;
  std::map<std::pair<int64_t, Tokens>, int64_t> children_;  // (parent, tokens) → node
  std::map<int64_t, Node> nodes_;
  std::set<std::pair<uint64_t, int64_t>> leaves_;  // (last use, node)
  int64_t next_node_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace caprl
