#include "prefix_cache.h"

#include <algorithm>

namespace caprl {
namespace {

constexpr int64_t kPage = ops::kKvPageSize;

}  // namespace

PrefixCache::Tokens PrefixCache::tokens_of_page(std::span<const int64_t> ids, int64_t page) {
  Tokens tokens;
  std::copy_n(ids.begin() + page * kPage, kPage, tokens.begin());
  return tokens;
}

void PrefixCache::use(int64_t node) {
  Node& mine = nodes_.at(node);
  const bool was_leaf = leaves_.erase({mine.last_use, node}) > 0;
  mine.last_use = ++clock_;
  if (was_leaf) leaves_.emplace(mine.last_use, node);
}

std::vector<int32_t> PrefixCache::find(std::span<const int64_t> ids) {
  std::vector<int32_t> pages;
  int64_t node = kRoot;
  for (int64_t page = 0; (page + 1) * kPage <= std::ssize(ids); ++page) {
    const auto known = children_.find({node, tokens_of_page(ids, page)});
    if (known == children_.end()) break;
    node = known->second;
    use(node);
    pages.push_back(nodes_.at(node).page);
    pool_.share(pages.back());
  }
  return pages;
}

void PrefixCache::add(std::span<const int64_t> ids, std::span<const int32_t> pages) {
  int64_t parent = kRoot;
  for (int64_t page = 0; page < std::ssize(pages); ++page) {
    const Tokens tokens = tokens_of_page(ids, page);
    const auto [known, is_new] = children_.try_emplace({parent, tokens}, next_node_);
    const int64_t node = known->second;
    if (is_new) {
      ++next_node_;
      nodes_[node] = {parent, tokens, pages[static_cast<size_t>(page)], 0, ++clock_};
      leaves_.emplace(clock_, node);
      pool_.keep(pages[static_cast<size_t>(page)]);
      if (parent != kRoot && nodes_.at(parent).num_children++ == 0)
        leaves_.erase({nodes_.at(parent).last_use, parent});
    }
    parent = node;
  }
}

bool PrefixCache::evict() {
  const auto unused = std::find_if(leaves_.begin(), leaves_.end(), [&](const auto& leaf) {
    return !pool_.is_shared(nodes_.at(leaf.second).page);
  });
  if (unused == leaves_.end()) return false;
  const int64_t node = unused->second;
  const Node gone = nodes_.at(node);
  leaves_.erase(unused);
  children_.erase({gone.parent, gone.tokens});
  nodes_.erase(node);
  pool_.unkeep(gone.page);
  if (gone.parent != kRoot && --nodes_.at(gone.parent).num_children == 0)
    leaves_.emplace(nodes_.at(gone.parent).last_use, gone.parent);
  return true;
}

}  // namespace caprl
