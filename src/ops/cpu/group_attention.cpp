#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "caprl/core/parallel.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/operations.h"
#include "ops/elements.h"
#include "ops/rows.h"

namespace caprl::ops::cpu {
namespace {

/// Tensors whose heads lie side by side, and the rows that kernels get.
template <class T>
class Rows {
 public:
  Rows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Attended& attended)
      : q_(with_adjacent_heads(q)), k_(with_adjacent_heads(k)), v_(with_adjacent_heads(v)) {
    rows_.num_rows = q.size(0);
    rows_.heads = q.size(1);
    rows_.kv_heads = k.size(1);
    rows_.head_dim = q.size(2);
    rows_.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(rows_.head_dim)));
    rows_.q = data<T>(q_);
    rows_.k = data<T>(k_);
    rows_.v = data<T>(v_);
    rows_.q_stride = q_.stride(0);
    rows_.k_stride = k_.stride(0);
    rows_.v_stride = v_.stride(0);
    rows_.out = data<T>(attended.out);
    rows_.lse = data<float>(attended.lse);
  }
  const GroupRows<T>& get() const { return rows_; }
  int64_t group() const { return rows_.heads / rows_.kv_heads; }

  float* scratch() const { return thread_scratch(group_scratch_floats(group(), rows_.head_dim)); }

 private:
  at::Tensor q_, k_, v_;
  GroupRows<T> rows_;
};

template <class T>
void attend(const Rows<T>& rows, std::span<const GroupSequence> sequences) {
  struct Block {
    const GroupSequence* sequence;
    int64_t first, count;
  };
  const int64_t size = queries_of_block(rows.group()), heads = rows.get().kv_heads;
  std::vector<Block> blocks;
  for (const GroupSequence& sequence : sequences)
    for (int64_t first = 0; first < sequence.count; first += size)
      blocks.push_back({&sequence, first, std::min(size, sequence.count - first)});
  parallel_for_pieces(0, std::ssize(blocks) * heads, 1, [&](int64_t unit, int64_t) {
    const Block& block = blocks[unit / heads];
    kernels().of<T>().attend_group(rows.get(), *block.sequence, block.first, block.count,
                                   unit % heads, rows.scratch());
  });
}

/// Gradients of the keys and values that each sequence sees, by itself: [kv_heads, 2, keys, padded]
/// of one after another.
class OfSequences {
 public:
  OfSequences(std::span<const GroupSequence> sequences, int64_t kv_heads, int64_t head_dim)
      : sequences_(sequences), kv_heads_(kv_heads), padded_(padded_head(head_dim)) {
    int64_t floats = 0;
    for (const GroupSequence& sequence : sequences) {
      begins_.push_back(floats);
      floats += kv_heads * 2 * keys(sequence) * padded_;
    }
    values_ = at::empty({floats}, at::kFloat);
  }

  /// Of keys, those of values follow.
  float* of(int64_t s, int64_t head) const {
    return data<float>(values_) + begins_[s] + head * 2 * size(s);
  }
  int64_t size(int64_t s) const { return keys(sequences_[s]) * padded_; }

  /// Row i of sequence s itself, of all sequences that see it, in their order. Once for each row.
  template <class T>
  void sum_row(int64_t s, int64_t head, int64_t i, int64_t head_dim, T* d_k, T* d_v) const {
    const GroupSequence& mine = sequences_[s];
    const auto at = [&](int64_t from, bool values, int64_t key) {
      return of(from, head) + (values ? size(from) : 0) + key * padded_;
    };
    for (const bool values : {false, true}) {
      float* sum = at(s, values, mine.prefix_count + i);
      for (int64_t next = s + 1; is_branch(next) && !is_branch(s); ++next)
        for (int64_t d = 0; d < head_dim; ++d) sum[d] += at(next, values, i)[d];
      T* to = (values ? d_v : d_k) + ((mine.first + i) * kv_heads_ + head) * head_dim;
      for (int64_t d = 0; d < head_dim; ++d) to[d] = kernels::from_float<T>(sum[d]);
    }
  }

 private:
  static int64_t keys(const GroupSequence& sequence) {
    return sequence.prefix_count + sequence.count;
  }
  bool is_branch(int64_t s) const {
    return s < std::ssize(sequences_) && sequences_[s].prefix_count > 0;
  }

  std::span<const GroupSequence> sequences_;
  int64_t kv_heads_, padded_;
  std::vector<int64_t> begins_;
  at::Tensor values_;
};

template <class T>
void attend_backward(const Rows<T>& rows, const at::Tensor& g,
                     std::span<const GroupSequence> sequences, const AttentionGradients& d) {
  const int64_t heads = rows.get().kv_heads, D = rows.get().head_dim;
  const OfSequences parts(sequences, heads, D);
  const int64_t units = std::ssize(sequences) * heads;
  parallel_for_pieces(0, units, 1, [&](int64_t unit, int64_t) {
    const int64_t s = unit / heads, head = unit % heads;
    GroupGradients<T> to;
    to.g = data<T>(g);
    to.d_q = data<T>(d.q);
    to.d_k = parts.of(s, head);
    to.d_v = to.d_k + parts.size(s);
    kernels().of<T>().attend_group_backward(rows.get(), to, sequences[s], head, rows.scratch());
  });
  parallel_for_pieces(0, units, 1, [&](int64_t unit, int64_t) {
    const int64_t s = unit / heads, head = unit % heads;
    for (int64_t i = 0; i < sequences[s].count; ++i)
      parts.sum_row(s, head, i, D, data<T>(d.k), data<T>(d.v));
  });
}

}  // namespace

Attended group_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         std::span<const GroupSequence> sequences) {
  const Attended attended{at::empty(q.sizes(), q.options()),
                          at::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat))};
  with_element(q.scalar_type(), [&](auto element) {
    attend(Rows<decltype(element)>(q, k, v, attended), sequences);
  });
  return attended;
}

AttentionGradients group_attention_backward(const at::Tensor& g, const at::Tensor& q,
                                            const at::Tensor& k, const at::Tensor& v,
                                            const Attended& attended,
                                            std::span<const GroupSequence> sequences) {
  const AttentionGradients d{at::empty(q.sizes(), q.options()), at::empty(k.sizes(), k.options()),
                             at::empty(v.sizes(), v.options())};
  const at::Tensor gradient = g.contiguous();
  with_element(q.scalar_type(), [&](auto element) {
    attend_backward(Rows<decltype(element)>(q, k, v, attended), gradient, sequences, d);
  });
  return d;
}

}  // namespace caprl::ops::cpu
