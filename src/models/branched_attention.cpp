#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "caprl/core/error.h"
#include "caprl/models/branched.h"

namespace caprl {
namespace {

/// A tree with at most one branch that has tokens: plain causal attention is right for it.
bool is_chain(const BranchedLayout::Tree& tree) {
  const auto& lengths = tree.branch_lengths;
  return std::count_if(lengths.begin(), lengths.end(), [](int64_t n) { return n > 0; }) <= 1;
}

constexpr int64_t kPrefix = -1, kPadding = -2;

/// Branch of each place of a tree padded to `longest`.
std::vector<int64_t> branch_of_places(const BranchedLayout::Tree& tree, int64_t longest) {
  std::vector<int64_t> branches(tree.prefix, kPrefix);
  for (size_t b = 0; b < tree.branch_lengths.size(); ++b)
    branches.insert(branches.end(), tree.branch_lengths[b], static_cast<int64_t>(b));
  branches.resize(longest, kPadding);
  return branches;
}

/// k or v [T, Hkv, L, D] with each head repeated for its group of query heads.
at::Tensor repeat_heads(const at::Tensor& x, int64_t num_heads) {
  const int64_t repeat = num_heads / x.size(1);
  if (repeat == 1) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), repeat, x.size(2), x.size(3)})
      .reshape({x.size(0), num_heads, x.size(2), x.size(3)});
}

}  // namespace

BranchedAttention::BranchedAttention(const BranchedLayout& layout, at::Device device)
    : num_trees_(static_cast<int64_t>(layout.trees.size())),
      longest_(0),
      num_tokens_(layout.num_tokens) {
  bool chains = true, equal = true;
  for (const auto& tree : layout.trees) {
    longest_ = std::max(longest_, tree.size());
    chains = chains && is_chain(tree);
    equal = equal && tree.size() == layout.trees[0].size();
  }
  if (!equal) {
    // Padding repeats the tree's first token; nothing reads what comes of it.
    std::vector<int64_t> gather, scatter;
    for (int64_t t = 0; t < num_trees_; ++t) {
      const auto& tree = layout.trees[t];
      for (int64_t place = 0; place < longest_; ++place) {
        const bool real = place < tree.size();
        gather.push_back(tree.begin + (real ? place : 0));
        if (real) scatter.push_back(t * longest_ + place);
      }
    }
    gather_ = at::tensor(gather, at::kLong).to(device);
    scatter_ = at::tensor(scatter, at::kLong).to(device);
  }
  // Padding comes after every real token, so causality alone hides it.
  if (chains) return;
  std::vector<int64_t> branches;
  for (const auto& tree : layout.trees) {
    const auto of_tree = branch_of_places(tree, longest_);
    branches.insert(branches.end(), of_tree.begin(), of_tree.end());
  }
  const at::Tensor branch = at::tensor(branches, at::kLong).view({num_trees_, longest_}).to(device);
  const at::Tensor query = branch.unsqueeze(2), key = branch.unsqueeze(1);
  const at::Tensor place = at::arange(longest_, at::TensorOptions(device).dtype(at::kLong));
  const at::Tensor causal = place.unsqueeze(0) <= place.unsqueeze(1);
  mask_ = (key == query).logical_or_(key == kPrefix).logical_and_(causal).unsqueeze(1);
}

at::Tensor BranchedAttention::pad(const at::Tensor& packed) const {
  const at::Tensor padded = gather_.defined() ? packed.index_select(0, gather_) : packed;
  return padded.view({num_trees_, longest_, packed.size(1), packed.size(2)}).transpose(1, 2);
}

at::Tensor BranchedAttention::unpad(const at::Tensor& padded) const {
  const at::Tensor rows =
      padded.transpose(1, 2).reshape({num_trees_ * longest_, padded.size(1), padded.size(3)});
  return scatter_.defined() ? rows.index_select(0, scatter_) : rows;
}

const at::Tensor& BranchedAttention::additive_mask(at::ScalarType dtype) {
  if (!additive_mask_.defined() || additive_mask_.scalar_type() != dtype)
    additive_mask_ =
        at::zeros(mask_.sizes(), mask_.options().dtype(dtype))
            .masked_fill_(mask_.logical_not(), -std::numeric_limits<double>::infinity());
  return additive_mask_;
}

at::Tensor BranchedAttention::attend(int64_t /*layer*/, const at::Tensor& q, const at::Tensor& k,
                                     const at::Tensor& v) {
  if (q.size(0) != num_tokens_)
    throw Error("[attention] expected {} tokens, got {}", num_tokens_, q.size(0));
  const int64_t heads = q.size(1);
  const at::Tensor keys = repeat_heads(pad(k), heads), values = repeat_heads(pad(v), heads);
  if (!mask_.defined())
    return unpad(at::scaled_dot_product_attention(pad(q), keys, values, {}, 0.0, true));
  return unpad(
      at::scaled_dot_product_attention(pad(q), keys, values, additive_mask(q.scalar_type())));
}

}  // namespace caprl
