#include <math.h>

#include "kernels/math/fast_math.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/simd.h"
#include "ops/cpu/tiles.h"

// Queries are columns here: a column is a query of one head, kLanes of them are a vector. What is
// taken over keys is then taken over rows, and no vector is summed.
namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

constexpr int64_t kKeys = kKeysOfBlock;

/// Parts of the caller's scratch, one after another.
class Scratch {
 public:
  explicit Scratch(float* memory) : next_(memory) {}
  float* take(int64_t floats) {
    float* mine = next_;
    next_ += floats;
    return mine;
  }

 private:
  float* next_;
};

/// Some queries of a sequence for one head of keys: column i · group + h is query i's head h.
template <class T>
class Columns {
 public:
  Columns(const GroupRows<T>& rows, const GroupSequence& sequence, int64_t first, int64_t count,
          int64_t kv_head)
      : rows_(rows), sequence_(sequence), first_(first), count_(count), kv_head_(kv_head) {}

  int64_t group() const { return rows_.heads / rows_.kv_heads; }
  int64_t used() const { return count_ * group(); }
  int64_t padded() const { return padded_head(used()); }

  /// x[query, head] of [rows, heads, head_dim] as columns [head_dim, padded] times `scale`; zeros
  /// where there is no query.
  void read(const T* x, int64_t stride, float scale, float* columns) const {
    const int64_t width = padded(), D = rows_.head_dim;
    for (int64_t d = 0; d < D; ++d)
      for (int64_t m = used(); m < width; ++m) columns[d * width + m] = 0;
    for (int64_t i = 0; i < count_; ++i)
      for (int64_t h = 0; h < group(); ++h) {
        const T* from = x + row(i) * stride + (kv_head_ * group() + h) * D;
        for (int64_t d = 0; d < D; ++d)
          columns[d * width + i * group() + h] = scalar(from[d]) * scale;
      }
  }
  /// The other way round, each column times `scales[column]`, to packed rows.
  void write(const float* columns, const float* scales, T* x) const {
    const int64_t width = padded(), D = rows_.head_dim;
    for (int64_t i = 0; i < count_; ++i)
      for (int64_t h = 0; h < group(); ++h) {
        T* to = x + (row(i) * rows_.heads + kv_head_ * group() + h) * D;
        const int64_t m = i * group() + h;
        for (int64_t d = 0; d < D; ++d)
          to[d] = kernels::from_float<T>(columns[d * width + m] * scales[m]);
      }
  }
  /// Where the log-sum-exp of a column is.
  int64_t place(int64_t column) const {
    return (kv_head_ * group() + column % group()) * rows_.num_rows + row(column / group());
  }
  /// Calls run(first key, count, hidden) for blocks of all keys that the queries see: of key j the
  /// first hidden(j) columns do not. Own keys are counted after the prefix's.
  template <class Run>
  void over_keys(Run run) const {
    const int64_t prefix = sequence_.prefix_count;
    for (int64_t j = 0; j < prefix; j += kKeys)
      run(j, prefix - j < kKeys ? prefix - j : kKeys, [](int64_t) { return int64_t{0}; });
    for (int64_t j = 0; j < first_ + count_; j += kKeys) {
      const int64_t left = first_ + count_ - j;
      run(prefix + j, left < kKeys ? left : kKeys, [this, j](int64_t key) {
        const int64_t before = j + key - first_;  // queries
        return before > 0 ? before * group() : int64_t{0};
      });
    }
  }
  /// Row of key j.
  int64_t key_row(int64_t j) const {
    const int64_t own = j - sequence_.prefix_count;
    return own < 0 ? sequence_.prefix_first + j : sequence_.first + own;
  }

 private:
  int64_t row(int64_t i) const { return sequence_.first + first_ + i; }

  const GroupRows<T>& rows_;
  const GroupSequence& sequence_;
  int64_t first_, count_, kv_head_;  // first: within the sequence
};

/// Keys or values [first, first + count) of a head, [count, head_dim].
template <class T>
void read_keys(const Columns<T>& columns, const T* x, int64_t stride, int64_t head_dim,
               int64_t kv_head, int64_t first, int64_t count, float* keys) {
  for (int64_t j = 0; j < count; ++j) {
    const T* from = x + columns.key_row(first + j) * stride + kv_head * head_dim;
    for (int64_t d = 0; d < head_dim; ++d) keys[j * head_dim + d] = scalar(from[d]);
  }
}

/// `value` where a key is not seen.
template <class Hidden>
void hide(float* scores, int64_t count, int64_t width, float value, Hidden hidden) {
  for (int64_t j = 0; j < count; ++j)
    for (int64_t m = 0; m < hidden(j); ++m) scores[j * width + m] = value;
}

/// Scores [count, width] to e^(s − top), a top for each column.
void exponentiate(float* scores, int64_t count, int64_t width, const float* top) {
  for (int64_t j = 0; j < count; ++j) {
    float* row = scores + j * width;
    for (int64_t m = 0; m < width; ++m) row[m] = kernels::fast_exp(row[m] - top[m]);
  }
}

/// What has come of the keys so far, by column.
struct Running {
  float* highest;
  float* total;  // Σ e^(s − highest)
};

/// Scores [count, width] to weights e^(s − highest); `old`: what earlier ones are to be scaled by.
/// Whether any is not 1.
bool weigh(float* scores, int64_t count, int64_t width, const Running& running, float* old) {
  float change = 0;
  for (int64_t m = 0; m < width; m += kLanes) {
    const Lanes before = load(running.highest + m);
    Lanes top = before;
    for (int64_t j = 0; j < count; ++j) top = larger(load(scores + j * width + m), top);
    store(top, running.highest + m);
    store(before - top, old + m);
    change += sum(top - before);  // infinite at first
  }
  for (int64_t m = 0; m < width; ++m) old[m] = kernels::fast_exp(old[m]);
  exponentiate(scores, count, width, running.highest);
  return change != 0;
}

/// total = total · old + Σ_j weights.
void add_weights(const float* weights, int64_t count, int64_t width, const float* old,
                 const Running& running) {
  for (int64_t m = 0; m < width; m += kLanes) {
    Lanes total = load(running.total + m) * load(old + m);
    for (int64_t j = 0; j < count; ++j) total += load(weights + j * width + m);
    store(total, running.total + m);
  }
}

template <class T>
void attend_columns(const GroupRows<T>& p, const Columns<T>& columns, int64_t kv_head,
                    Scratch scratch) {
  const int64_t D = p.head_dim, width = columns.padded();
  float *q = scratch.take(D * width), *mixed = scratch.take(D * width);
  float *scores = scratch.take(kKeys * width), *old = scratch.take(width);
  float *keys = scratch.take(kKeys * D), *values = scratch.take(kKeys * D);
  const Running running{scratch.take(width), scratch.take(width)};
  columns.read(p.q, p.q_stride, p.scale, q);
  for (int64_t i = 0; i < D * width; ++i) mixed[i] = 0;
  for (int64_t m = 0; m < width; ++m) {
    running.highest[m] = -INFINITY;
    running.total[m] = 0;
  }
  columns.over_keys([&](int64_t first, int64_t count, auto hidden) {
    read_keys(columns, p.k, p.k_stride, D, kv_head, first, count, keys);
    read_keys(columns, p.v, p.v_stride, D, kv_head, first, count, values);
    multiply<false>({keys, D, 1}, count, q, D, width, scores, width);
    hide(scores, count, width, -INFINITY, hidden);
    const bool rescale = weigh(scores, count, width, running, old);
    hide(scores, count, width, 0, hidden);
    add_weights(scores, count, width, old, running);
    for (int64_t d = 0; rescale && d < D; ++d)
      for (int64_t m = 0; m < width; ++m) mixed[d * width + m] *= old[m];
    multiply<true>({values, 1, D}, D, scores, count, width, mixed, width);
  });
  for (int64_t m = 0; m < columns.used(); ++m)
    p.lse[columns.place(m)] = running.highest[m] + logf(running.total[m]);
  for (int64_t m = 0; m < width; ++m) old[m] = 1 / running.total[m];
  columns.write(mixed, old, p.out);
}

/// Columns as rows [width, padded], zeros behind a row's head.
void turn_columns(const float* columns, int64_t head_dim, int64_t width, float* rows) {
  const int64_t padded = padded_head(head_dim);
  for (int64_t m = 0; m < width; ++m)
    for (int64_t d = 0; d < padded; ++d)
      rows[m * padded + d] = d < head_dim ? columns[d * width + m] : 0;
}

template <class T>
void gradients_of_columns(const GroupRows<T>& p, const GroupGradients<T>& to,
                          const Columns<T>& columns, int64_t kv_head, Scratch scratch) {
  const int64_t D = p.head_dim, padded = padded_head(D), width = columns.padded();
  float *q = scratch.take(D * width), *g = scratch.take(D * width), *d_q = scratch.take(D * width);
  float *q_rows = scratch.take(width * padded), *g_rows = scratch.take(width * padded);
  float *weights = scratch.take(kKeys * width), *d_scores = scratch.take(kKeys * width);
  float *keys = scratch.take(kKeys * D), *values = scratch.take(kKeys * D);
  float *lse = scratch.take(width), *mean = scratch.take(width);
  columns.read(p.q, p.q_stride, p.scale, q);
  columns.read(to.g, p.heads * D, 1, g);
  columns.read(p.out, p.heads * D, 1, d_q);
  for (int64_t m = 0; m < width; ++m) {
    lse[m] = m < columns.used() ? p.lse[columns.place(m)] : 0;
    mean[m] = 0;
  }
  for (int64_t d = 0; d < D; ++d)
    for (int64_t m = 0; m < width; ++m) mean[m] += g[d * width + m] * d_q[d * width + m];
  for (int64_t i = 0; i < D * width; ++i) d_q[i] = 0;
  turn_columns(q, D, width, q_rows);
  turn_columns(g, D, width, g_rows);
  columns.over_keys([&](int64_t first, int64_t count, auto hidden) {
    read_keys(columns, p.k, p.k_stride, D, kv_head, first, count, keys);
    read_keys(columns, p.v, p.v_stride, D, kv_head, first, count, values);
    multiply<false>({keys, D, 1}, count, q, D, width, weights, width);
    multiply<false>({values, D, 1}, count, g, D, width, d_scores, width);
    exponentiate(weights, count, width, lse);
    hide(weights, count, width, 0, hidden);
    for (int64_t j = 0; j < count; ++j)
      for (int64_t m = 0; m < width; ++m)
        d_scores[j * width + m] = weights[j * width + m] * (d_scores[j * width + m] - mean[m]);
    multiply<true>({weights, width, 1}, count, g_rows, width, padded, to.d_v + first * padded,
                   padded);
    multiply<true>({d_scores, width, 1}, count, q_rows, width, padded, to.d_k + first * padded,
                   padded);
    multiply<true>({keys, 1, D}, D, d_scores, count, width, d_q, width);
  });
  for (int64_t m = 0; m < width; ++m) mean[m] = p.scale;
  columns.write(d_q, mean, to.d_q);
}

}  // namespace

template <class T>
void attend_group(const GroupRows<T>& p, const GroupSequence& sequence, int64_t first,
                  int64_t count, int64_t kv_head, float* scratch) {
  attend_columns(p, Columns<T>(p, sequence, first, count, kv_head), kv_head, Scratch(scratch));
}

template <class T>
void attend_group_backward(const GroupRows<T>& p, const GroupGradients<T>& to,
                           const GroupSequence& sequence, int64_t kv_head, float* scratch) {
  const int64_t keys = sequence.prefix_count + sequence.count, padded = padded_head(p.head_dim);
  for (int64_t i = 0; i < keys * padded; ++i) to.d_k[i] = to.d_v[i] = 0;
  const int64_t block = queries_of_block(p.heads / p.kv_heads);
  for (int64_t first = 0; first < sequence.count; first += block) {
    const int64_t left = sequence.count - first;
    const Columns<T> columns(p, sequence, first, left < block ? left : block, kv_head);
    gradients_of_columns(p, to, columns, kv_head, Scratch(scratch));
  }
}

template void attend_group(const GroupRows<float>&, const GroupSequence&, int64_t, int64_t, int64_t,
                           float*);
template void attend_group(const GroupRows<Bf16>&, const GroupSequence&, int64_t, int64_t, int64_t,
                           float*);
template void attend_group_backward(const GroupRows<float>&, const GroupGradients<float>&,
                                    const GroupSequence&, int64_t, float*);
template void attend_group_backward(const GroupRows<Bf16>&, const GroupGradients<Bf16>&,
                                    const GroupSequence&, int64_t, float*);

}  // namespace caprl::ops::cpu::CAPRL_ISA
