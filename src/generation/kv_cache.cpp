#include "kv_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr int64_t kFirstColumns = 64;  // room for generated tokens to begin with

at::Tensor index_tensor(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

/// [N · heads, 1, columns] of 0 and, for n's columns outside [begin[n], end[n]), −∞.
at::Tensor range_mask(const std::vector<int64_t>& begin, const std::vector<int64_t>& end,
                      int64_t columns, int64_t heads, at::TensorOptions options) {
  const auto as_column = [](const std::vector<int64_t>& v) {
    return at::tensor(v, at::kLong).unsqueeze(1);
  };
  const at::Tensor place = at::arange(columns, at::kLong).unsqueeze(0);
  const at::Tensor outside = (place < as_column(begin)).logical_or_(place >= as_column(end));
  return at::zeros(outside.sizes(), at::kDouble)
      .masked_fill_(outside, -std::numeric_limits<double>::infinity())
      .to(options)
      .repeat_interleave(heads, 0)
      .unsqueeze(1);
}

}  // namespace

KvCache::KvCache(const ModelTraits& traits, const CacheSizes& sizes, at::TensorOptions options)
    : num_kv_heads_(traits.num_kv_heads), width_(sizes.width) {
  const auto rows = static_cast<int64_t>(sizes.prompt_lengths.size());
  const auto slots = static_cast<int64_t>(sizes.suffix_lengths.size());
  if (rows == 0 || width_ * rows != slots)
    throw Error("[kv cache] expected {} rows of {} slots, got {} slots", rows, width_, slots);
  const int64_t longest =
      *std::max_element(sizes.prompt_lengths.begin(), sizes.prompt_lengths.end());
  used_ = *std::max_element(sizes.suffix_lengths.begin(), sizes.suffix_lengths.end());
  max_columns_ = used_ + sizes.max_new_tokens;
  const int64_t columns = std::min(max_columns_, used_ + kFirstColumns);

  prompt_mask_ = range_mask(std::vector<int64_t>(rows, 0), sizes.prompt_lengths, longest,
                            num_kv_heads_, options);
  std::vector<int64_t> begins;
  for (const int64_t length : sizes.suffix_lengths) begins.push_back(used_ - length);
  own_mask_ =
      range_mask(begins, std::vector<int64_t>(slots, columns), columns, num_kv_heads_, options);
  for (int64_t i = 0; i < traits.num_layers; ++i) {
    const auto zeros = [&](int64_t count, int64_t length) {
      return at::zeros({count, num_kv_heads_, length, traits.head_dim}, options);
    };
    layers_.push_back(
        {zeros(rows, longest), zeros(rows, longest), zeros(slots, columns), zeros(slots, columns)});
  }
}

void KvCache::advance() {
  if (used_ == max_columns_) throw Error("[kv cache] all {} columns are in use", max_columns_);
  if (used_ == capacity()) grow();
  ++used_;
}

void KvCache::grow() {
  const int64_t added = std::min(2 * capacity(), max_columns_) - capacity();
  const auto extend = [added](const at::Tensor& cache) {
    std::vector<int64_t> shape = cache.sizes().vec();
    shape[2] = added;
    return at::cat({cache, at::zeros(shape, cache.options())}, 2);
  };
  own_mask_ = extend(own_mask_);
  for (Layer& layer : layers_) {
    layer.own_k = extend(layer.own_k);
    layer.own_v = extend(layer.own_v);
  }
}

/// One softmax over the prompt's and the sequence's own scores, which are separate products because
/// the prompt's keys are shared by the W · Hq / K queries of a row.
at::Tensor KvCache::attend(int64_t layer_index, const at::Tensor& q, const at::Tensor& k,
                           const at::Tensor& v) {
  const Layer& layer = layers_[layer_index];
  const int64_t R = layer.prompt_k.size(0), W = width_, S = R * W, K = num_kv_heads_;
  const int64_t P = layer.prompt_k.size(2), T = used_, D = q.size(2), queries = q.size(1) / K;
  layer.own_k.select(2, T - 1).copy_(k);
  layer.own_v.select(2, T - 1).copy_(v);
  const double scale = 1.0 / std::sqrt(static_cast<double>(D));
  // Rows' heads together, samples of a row one after another: the shape of products with the
  // prompt.
  const auto by_row = [&](const at::Tensor& t, int64_t last) {
    return t.view({R, W, K, queries, last}).transpose(1, 2).reshape({R * K, W * queries, last});
  };
  const auto by_slot = [&](const at::Tensor& t, int64_t last) {
    return t.view({R, K, W, queries, last}).transpose(1, 2);
  };
  const auto own = [&](const at::Tensor& cache) {
    return cache.narrow(2, 0, T).view({S * K, T, D});
  };
  const at::Tensor own_scores =
      at::baddbmm(own_mask_.narrow(2, 0, T), q.reshape({S * K, queries, D}),
                  own(layer.own_k).transpose(1, 2), 1, scale);
  const at::Tensor prompt_scores = at::baddbmm(
      prompt_mask_, by_row(q, D), layer.prompt_k.view({R * K, P, D}).transpose(1, 2), 1, scale);
  const at::Tensor weights =
      at::cat({by_slot(prompt_scores, P), own_scores.view({R, W, K, queries, T})}, 4).softmax(4);
  const at::Tensor from_prompt =
      at::bmm(by_row(weights.narrow(4, 0, P), P), layer.prompt_v.view({R * K, P, D}));
  return at::baddbmm(by_slot(from_prompt, D).reshape({S * K, queries, D}),
                     weights.narrow(4, P, T).reshape({S * K, queries, T}), own(layer.own_v))
      .view({S, K * queries, D});
}

void KvCache::select(const Compaction& compaction) {
  const at::Device device = own_mask_.device();
  const at::Tensor rows = index_tensor(compaction.row_sources, device);
  const at::Tensor slots = index_tensor(compaction.slot_sources, device);
  const auto select_mask = [this](const at::Tensor& mask, const at::Tensor& sources) {
    const int64_t columns = mask.size(2);
    return mask.view({-1, num_kv_heads_, columns}).index_select(0, sources).view({-1, 1, columns});
  };
  width_ = compaction.grid.width;
  prompt_mask_ = select_mask(prompt_mask_, rows);
  own_mask_ = select_mask(own_mask_, slots);
  for (Layer& layer : layers_) {
    layer.prompt_k = layer.prompt_k.index_select(0, rows);
    layer.prompt_v = layer.prompt_v.index_select(0, rows);
    layer.own_k = layer.own_k.index_select(0, slots);
    layer.own_v = layer.own_v.index_select(0, slots);
  }
}

PrefillAttention::PrefillAttention(KvCache& cache, const BranchedLayout& layout, int64_t first_row,
                                   at::Device device)
    : BranchedAttention(layout, device), cache_(cache) {
  struct {
    std::vector<int64_t> tokens, rows, columns;
    void add(int64_t token, int64_t row, int64_t column) {
      tokens.push_back(token);
      rows.push_back(row);
      columns.push_back(column);
    }
  } prompts, suffixes;
  for (size_t t = 0; t < layout.trees.size(); ++t) {
    const auto& tree = layout.trees[t];
    const int64_t row = first_row + static_cast<int64_t>(t);
    for (int64_t i = 0; i < tree.prefix; ++i) prompts.add(tree.begin + i, row, i);
    int64_t token = tree.begin + tree.prefix;
    for (size_t b = 0; b < tree.branch_lengths.size(); ++b) {
      const int64_t length = tree.branch_lengths[b];
      const int64_t slot = row * cache.width_ + static_cast<int64_t>(b);
      for (int64_t i = 0; i < length; ++i) suffixes.add(token++, slot, cache.used_ - length + i);
    }
  }
  const auto to_device = [&](const auto& moves) {
    return Moves{index_tensor(moves.tokens, device), index_tensor(moves.rows, device),
                 index_tensor(moves.columns, device)};
  };
  prompts_ = to_device(prompts);
  suffixes_ = to_device(suffixes);
}

at::Tensor PrefillAttention::attend(int64_t layer_index, const at::Tensor& q, const at::Tensor& k,
                                    const at::Tensor& v) {
  const auto store = [](const Moves& moves, const at::Tensor& cache, const at::Tensor& values) {
    if (moves.tokens.numel() == 0) return;
    // [rows, K, columns, D] seen as [rows, columns, K, D].
    cache.transpose(1, 2).index_put_({moves.rows, moves.columns},
                                     values.index_select(0, moves.tokens));
  };
  const KvCache::Layer& layer = cache_.layers_[layer_index];
  store(prompts_, layer.prompt_k, k);
  store(prompts_, layer.prompt_v, v);
  store(suffixes_, layer.own_k, k);
  store(suffixes_, layer.own_v, v);
  return BranchedAttention::attend(layer_index, q, k, v);
}

}  // namespace caprl
