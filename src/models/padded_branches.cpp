#include "padded_branches.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "caprl/ops/attention.h"
#include "caprl/ops/upload.h"

namespace caprl {
namespace {

/// A tree with at most one branch that has tokens: plain causal attention is right for it.
bool is_chain(const BranchedLayout::Tree& tree) {
  const auto& lengths = tree.branch_lengths;
  return std::count_if(lengths.begin(), lengths.end(), [](int64_t n) { return n > 0; }) <= 1;
}

/// Packed indices of `count` tokens from `begin`, padded to `padded` places by repeating the first;
/// nothing reads what comes of padding.
void append_padded(int64_t begin, int64_t count, int64_t padded, std::vector<int64_t>& indices) {
  for (int64_t i = 0; i < padded; ++i) indices.push_back(begin + (i < count ? i : 0));
}

/// Whether they are all tokens as they lie, which then need no copy.
bool are_all(const std::vector<int64_t>& indices, int64_t num_tokens) {
  bool all = std::ssize(indices) == num_tokens;
  for (int64_t i = 0; all && i < num_tokens; ++i) all = indices[static_cast<size_t>(i)] == i;
  return all;
}

/// Rows `indices` of packed [N, H, D] as segments [S, H, length, D].
at::Tensor segments(const at::Tensor& packed, const at::Tensor& indices, int64_t length) {
  const at::Tensor rows = indices.defined() ? packed.index_select(0, indices) : packed;
  return rows.view({-1, length, packed.size(1), packed.size(2)}).transpose(1, 2);
}

at::Tensor rows_of(const at::Tensor& segments) {
  return segments.transpose(1, 2).reshape({-1, segments.size(1), segments.size(3)});
}

}  // namespace

PaddedBranches::PaddedBranches(const BranchedLayout& layout, at::Device device) {
  const bool chains = std::all_of(layout.trees.begin(), layout.trees.end(), is_chain);
  for (const auto& tree : layout.trees) {
    longest_trunk_ = std::max(longest_trunk_, chains ? tree.size() : tree.prefix);
    for (const int64_t length : tree.branch_lengths)
      longest_branch_ = std::max(longest_branch_, length);
  }
  // Packed token → row of all trunks' and then all branches' outputs.
  std::vector<int64_t> order(layout.num_tokens), trunks;
  for (size_t t = 0; t < layout.trees.size(); ++t) {
    const auto& tree = layout.trees[t];
    const int64_t length = chains ? tree.size() : tree.prefix;
    append_padded(tree.begin, length, longest_trunk_, trunks);
    for (int64_t i = 0; i < length; ++i)
      order[tree.begin + i] = static_cast<int64_t>(t) * longest_trunk_ + i;
  }
  if (!chains) add_branches(layout, static_cast<int64_t>(trunks.size()), order, device);
  if (chains && are_all(trunks, layout.num_tokens)) return;
  trunks_ = ops::upload(trunks, device);
  order_ = ops::upload(order, device);
}

void PaddedBranches::add_branches(const BranchedLayout& layout, int64_t first_row,
                                  std::vector<int64_t>& order, at::Device device) {
  std::vector<int64_t> queries, keys, prefix_lengths;
  for (const auto& tree : layout.trees) {
    int64_t begin = tree.begin + tree.prefix;
    for (const int64_t length : tree.branch_lengths) {
      if (length == 0) continue;
      const int64_t row = first_row + static_cast<int64_t>(queries.size());
      for (int64_t i = 0; i < length; ++i) order[begin + i] = row + i;
      append_padded(begin, length, longest_branch_, queries);
      append_padded(tree.begin, tree.prefix, longest_trunk_, keys);
      append_padded(begin, length, longest_branch_, keys);
      prefix_lengths.push_back(tree.prefix);
      begin += length;
    }
  }
  branch_queries_ = ops::upload(queries, device);
  branch_keys_ = ops::upload(keys, device);
  // Of its keys a branch's token sees the whole prefix, then causally its own branch.
  const auto integers = at::TensorOptions(device).dtype(at::kLong);
  const at::Tensor prefix = at::arange(longest_trunk_, integers).view({1, 1, -1}) <
                            ops::upload(prefix_lengths, device).view({-1, 1, 1});
  const at::Tensor place = at::arange(longest_branch_, integers);
  const at::Tensor own = place.unsqueeze(0) <= place.unsqueeze(1);
  const auto count = static_cast<int64_t>(prefix_lengths.size());
  mask_ = at::cat({prefix.expand({count, longest_branch_, -1}), own.expand({count, -1, -1})}, 2)
              .unsqueeze(1);
}

const at::Tensor& PaddedBranches::additive_mask(at::ScalarType dtype) {
  if (!additive_mask_.defined() || additive_mask_.scalar_type() != dtype)
    additive_mask_ =
        at::zeros(mask_.sizes(), mask_.options().dtype(dtype))
            .masked_fill_(mask_.logical_not(), -std::numeric_limits<double>::infinity());
  return additive_mask_;
}

at::Tensor PaddedBranches::attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  // Padding comes after every real token, so causality alone hides it.
  at::Tensor rows = rows_of(
      ops::attention(segments(q, trunks_, longest_trunk_), segments(k, trunks_, longest_trunk_),
                     segments(v, trunks_, longest_trunk_), {}, /*causal=*/true));
  if (mask_.defined()) {
    const int64_t length = longest_trunk_ + longest_branch_;
    const at::Tensor branches = ops::attention(
        segments(q, branch_queries_, longest_branch_), segments(k, branch_keys_, length),
        segments(v, branch_keys_, length), additive_mask(q.scalar_type()));
    rows = at::cat({rows, rows_of(branches)});
  }
  return order_.defined() ? rows.index_select(0, order_) : rows;
}

}  // namespace caprl
