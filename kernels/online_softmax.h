// Rows of logits on the device: how a block goes through one, and its softmax from a single read.
//
// Each thread keeps the maximum so far and, relative to it, Σ e and Σ e·d with d = (x − max) ·
// log₂e / temperature and e = 2^d (online softmax, arXiv 1805.02867); the block combines its
// threads in a fixed order. Rows begin at any alignment: up to one pack of values at either end are
// "edges", held by one thread each in a register; the packs between are read in sweeps of
// kInFlight 16-byte loads a thread.
#pragma once
#include <float.h>

#include "kernels/device.h"

namespace caprl::kernels {
namespace {

constexpr int kInFlight = 4;  // packs that a thread loads before it uses one
constexpr float kLn2 = 0.693147180559945309f;
constexpr float kNoExponent = -160;  // 2^-160 is 0 in float

/// Values [0, head) and [head + num_packs · kPack, end) are edges, those between 16-byte packs.
template <class T>
struct Row {
  static constexpr int kPack = Pack<T>::kSize;
  T* values;
  int head, num_packs, num_edges;

  __device__ int begin_of(int pack) const { return head + pack * kPack; }
  __device__ int edge(int i) const { return i < head ? i : i + num_packs * kPack; }
  __device__ int num_sweeps() const {
    const int sweep = kInFlight * static_cast<int>(blockDim.x);
    return (num_packs + sweep - 1) / sweep;
  }
};

template <class T>
__device__ Row<T> row_of(T* values, int size) {
  constexpr int kPack = Pack<T>::kSize;
  const int past = static_cast<int>(reinterpret_cast<uintptr_t>(values) % 16 / sizeof(T));
  const int to_boundary = past == 0 ? 0 : kPack - past;
  const int head = to_boundary < size ? to_boundary : size;
  const int num_packs = (size - head) / kPack;
  return {values, head, num_packs, size - num_packs * kPack};
}

__device__ inline int pack_of(int sweep, int i) {
  return (sweep * kInFlight + i) * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
}

/// This thread's edge, or −inf, which adds nothing.
template <class T>
__device__ float edge_of(const Row<T>& row) {
  const int thread = static_cast<int>(threadIdx.x);
  return thread < row.num_edges ? to_float(row.values[row.edge(thread)]) : -INFINITY;
}

/// Consecutive values as they lie in registers: two Bf16 a word.
template <class T, int kSize = Pack<T>::kSize>
struct alignas(kSize * sizeof(T)) Words {
  static constexpr int kPerWord = 4 / sizeof(T);
  uint32_t words[kSize / kPerWord];

  __device__ T operator[](int i) const {
    if constexpr (kPerWord == 2) {
      return {static_cast<uint16_t>(words[i / 2] >> (16 * (i % 2)))};
    } else {
      T value;
      memcpy(&value, &words[i], sizeof value);
      return value;
    }
  }
  __device__ void set_word(int i, const float* values) {
    if constexpr (kPerWord == 2) {
      words[i] = rounded_pair(values[0], values[1]);
    } else {
      memcpy(&words[i], values, sizeof *values);
    }
  }
};

/// The first `num_sweeps` sweeps of a row in shared memory. A thread reads only what it wrote.
template <class T>
struct Cache {
  Words<T>* packs;
  int num_sweeps;
};

/// A thread's part of a sweep; −inf where the row has ended.
template <class T>
struct Part {
  Words<T> packs[kInFlight];

  __device__ void load(const Row<T>& row, int sweep) {
    constexpr uint32_t kNothing = sizeof(T) == 2 ? 0xff80ff80u : 0xff800000u;
    for (int i = 0; i < kInFlight; ++i) {
      const int pack = pack_of(sweep, i);
      packs[i] = pack < row.num_packs
                     ? *reinterpret_cast<const Words<T>*>(row.values + row.begin_of(pack))
                     : Words<T>{{kNothing, kNothing, kNothing, kNothing}};
    }
  }
  __device__ void keep(const Row<T>& row, int sweep, const Cache<T>& cache) const {
    for (int i = 0; i < kInFlight; ++i)
      if (pack_of(sweep, i) < row.num_packs) cache.packs[pack_of(sweep, i)] = packs[i];
  }
  __device__ void recall(const Row<T>& row, int sweep, const Cache<T>& cache) {
    for (int i = 0; i < kInFlight; ++i)
      if (pack_of(sweep, i) < row.num_packs) packs[i] = cache.packs[pack_of(sweep, i)];
  }
};

/// Of the logits seen: their maximum (never −inf), Σ e and, for the entropy, Σ e·d. A logit of NaN
/// or +inf makes Σ e NaN; one of −inf adds 0.
template <bool kEntropy>
struct Sums {
  float scale;  // log₂e / temperature
  float max = -FLT_MAX, sum = 0, weighted = 0;

  /// Sets the maximum, and adds sums that are relative to it. Fused operations are spelt out, so
  /// that all kernels round alike.
  __device__ void move_to(float new_max, float more = 0, float more_weighted = 0) {
    const float shift = (max - new_max) * scale;
    const float factor = exp2f(shift);
    if (kEntropy)
      weighted = fmaf(fmaf(sum, fmaxf(shift, kNoExponent), weighted), factor, more_weighted);
    sum = fmaf(sum, factor, more);
    max = new_max;
  }

  template <class T>
  __device__ void add(const Part<T>& part) {
    float new_max = max, part_sum = 0, part_weighted = 0;
    for (const Words<T>& pack : part.packs)
      for (int k = 0; k < Row<T>::kPack; ++k) new_max = fmaxf(new_max, to_float(pack[k]));
    for (const Words<T>& pack : part.packs) {
      float pack_sum = 0, pack_weighted = 0;
      for (int k = 0; k < Row<T>::kPack; ++k) {
        const float d = (to_float(pack[k]) - new_max) * scale, e = exp2f(d);
        pack_sum += e;
        if (kEntropy) pack_weighted = fmaf(e, fmaxf(d, kNoExponent), pack_weighted);
      }
      part_sum += pack_sum;
      part_weighted += pack_weighted;
    }
    move_to(new_max, part_sum, part_weighted);
  }
  __device__ void add(float logit) {
    const float new_max = fmaxf(max, logit), d = (logit - new_max) * scale, e = exp2f(d);
    move_to(new_max, e, e * fmaxf(d, kNoExponent));
  }
  /// Of all threads of the block.
  __device__ void combine() {
    move_to(block_reduce(max, Max{}, -FLT_MAX));
    sum = block_reduce(sum, Add{}, 0.0f);
    if (kEntropy) weighted = block_reduce(weighted, Add{}, 0.0f);
  }

  // Of a whole row. The maximum's own term makes the sum at least 1, so none has the wrong sign.
  __device__ float logprob(float logit, float temperature) const {
    return (logit - max) / temperature - logf(sum);
  }
  __device__ float mean_exponent() const { return kEntropy ? weighted / sum : 0; }
  __device__ float entropy() const { return fmaf(-kLn2, mean_exponent(), logf(sum)); }
};

/// Reads the row from its end to its beginning, and keeps the beginning in the cache.
template <bool kEntropy, class T>
__device__ Sums<kEntropy> sums_of(const Row<T>& row, float edge, float temperature,
                                  const Cache<T>& cache) {
  Sums<kEntropy> sums{kLog2E / temperature};
  for (int sweep = row.num_sweeps() - 1; sweep >= 0; --sweep) {
    Part<T> part;
    part.load(row, sweep);
    if (sweep < cache.num_sweeps) part.keep(row, sweep, cache);
    sums.add(part);
  }
  sums.add(edge);
  sums.combine();
  return sums;
}

}  // namespace
}  // namespace caprl::kernels
