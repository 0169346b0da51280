// Sums of products: outputs' weights times packed rows.
#pragma once
#include "ops/cpu/kernels.h"
#include "ops/cpu/simd.h"

namespace caprl::ops::cpu::CAPRL_ISA {

inline constexpr int64_t kMostRows = 2 * kLanes;  // side by side
inline constexpr int64_t kLineWords = 16;         // of a cache
static_assert(kPackedRows % kMostRows == 0);

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/// What sums are made of: words of 4 bytes, each a float or a pair of Bf16.
template <class T>
struct Words {
  using Stored = float;  // what weights are when they are multiplied
  static constexpr int64_t kValues = 1;
  static constexpr int64_t kRun = 576;  // values that are summed before they are added to others'
  static EightLanes eight(const T* from) { return load<EightLanes>(from); }
  template <class V>
  static V repeat(const float* at) {
    return all<V>(*at);
  }
  template <class V>
  static void add(V a, V b, V& sum) {
    add_product(a, b, sum);
  }
};
#ifdef __AVX512BF16__
/// Two products are added to a lane at once.
template <>
struct Words<Bf16> {
  using Stored = Bf16;
  static constexpr int64_t kValues = 2;
  static constexpr int64_t kRun = 768;
  static EightLanes eight(const Bf16* from) {
    EightLanes words;
    memcpy(&words, from, sizeof words);
    return words;
  }
  template <class V>
  static V repeat(const Bf16* at) {
    uint32_t pair;
    memcpy(&pair, at, sizeof pair);
    return repeat_bits<V>(pair);
  }
  static void add(Lanes a, Lanes b, Lanes& sum) {
    sum = (Lanes)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
  }
  static void add(EightLanes a, EightLanes b, EightLanes& sum) {
    sum = (EightLanes)_mm256_dpbf16_ps((__m256)sum, (__m256bh)a, (__m256bh)b);
  }
};
#endif

template <class T>
constexpr int64_t words_of(int64_t values) {
  return (values + Words<T>::kValues - 1) / Words<T>::kValues;
}

/// How many rows lie side by side, of which `left` are there: the fewest vectors that waste less
/// than eight lanes.
static inline int64_t rows_side_by_side(int64_t left) {
  int64_t rows = kMostRows;
  while (rows > 8 && left <= rows - 8) rows /= 2;
  return rows;
}

/// Some outputs' weights of one run.
template <class T>
struct Weights {
  const T* first;
  int64_t stride, values;  // from output to output; of the run
};

/// sums[o, r] = Σ_k x[k, r] w[o, k] over one run, or += : for kOutputs outputs and all rows of
/// kVectors vectors. Every sum is in the order of k, whatever the shape. Meanwhile the weights
/// `ahead`, which are needed next, are fetched.
template <class T, class V, int kVectors, int kOutputs>
void sum_tile(const float* x, const Weights<typename Words<T>::Stored>& w, const Weights<T>& ahead,
              bool add, float* sums) {
  constexpr int64_t kValues = Words<T>::kValues, kWidth = sizeof(V) / sizeof(float);
  using Stored = typename Words<T>::Stored;
  V total[kOutputs][kVectors] = {};
  const auto add_word = [&](int64_t k, const Stored* weight, int64_t stride) {
    V rows[kVectors];
    for (int v = 0; v < kVectors; ++v) rows[v] = load<V>(x + (k * kVectors + v) * kWidth);
    for (int o = 0; o < kOutputs; ++o) {
      const V factor = Words<T>::template repeat<V>(weight + o * stride);
      for (int v = 0; v < kVectors; ++v) Words<T>::add(rows[v], factor, total[o][v]);
    }
  };
  const int64_t whole = w.values / kValues;
  int64_t k = 0;
  while (k < whole) {
    for (int o = 0; o < kOutputs && k * kValues < ahead.values; ++o)
      fetch(ahead.first + o * ahead.stride + k * kValues);
    for (const int64_t end = least(whole, k + kLineWords); k < end; ++k)
      add_word(k, w.first + k * kValues, w.stride);
  }
  if (kValues > 1 && whole * kValues < w.values) {
    Stored last[kOutputs][kValues] = {};
    for (int o = 0; o < kOutputs; ++o) last[o][0] = w.first[o * w.stride + whole * kValues];
    add_word(whole, last[0], kValues);
  }
  for (int o = 0; o < kOutputs; ++o)
    for (int v = 0; v < kVectors; ++v) {
      float* to = sums + (o * kVectors + v) * kWidth;
      if (add) total[o][v] += load<V>(to);
      memcpy(to, &total[o][v], sizeof(V));
    }
}

/// The same of weights that are converted first, where words are not what is stored.
template <class T, class V, int kVectors, int kOutputs>
void sum_stored(const float* x, const Weights<T>& w, const Weights<T>& ahead, bool add,
                float* sums) {
  if constexpr (sizeof(T) == sizeof(typename Words<T>::Stored)) {
    sum_tile<T, V, kVectors, kOutputs>(x, w, ahead, add, sums);
  } else {
    constexpr int64_t kRun = Words<T>::kRun;
    float converted[kOutputs * kRun];
    for (int o = 0; o < kOutputs; ++o)
      for (int64_t k = 0; k < w.values; ++k)
        converted[o * kRun + k] = scalar(w.first[o * w.stride + k]);
    sum_tile<T, V, kVectors, kOutputs>(x, {converted, kRun, w.values}, ahead, add, sums);
  }
}

/// `count` outputs, as many at once as there are registers for their sums: 8, or 16 of 32. The
/// weights `then` are needed next.
template <class T, class V, int kVectors, int kOutputs = (kVectors * 8 > kLanes ? 4 : 8)>
void sum_outputs(const float* x, Weights<T> w, int64_t count, const Weights<T>& then, bool add,
                 float* sums) {
  for (; count >= kOutputs; count -= kOutputs) {
    const Weights<T> next{w.first + kOutputs * w.stride, w.stride, w.values};
    sum_stored<T, V, kVectors, kOutputs>(x, w, count > kOutputs ? next : then, add, sums);
    w = next;
    sums += kOutputs * kVectors * (sizeof(V) / sizeof(float));
  }
  if constexpr (kOutputs > 1) {
    if (count > 0) sum_outputs<T, V, kVectors, kOutputs / 2>(x, w, count, then, add, sums);
  }
}

/// The run from this value on of an output and those after it.
template <class T>
Weights<T> run_of(const T* output, int64_t inner, int64_t begin = 0) {
  return {output + begin, inner, least(inner - begin, Words<T>::kRun)};
}

/// sums[o, r] = Σ_k x[k, r] w[o, k] for `count` outputs and the `width` packed rows from `x` on.
/// The outputs `then` come next.
template <class T>
void sum_block(const float* x, int64_t width, const T* outputs, int64_t inner, int64_t count,
               const T* then, float* sums) {
  constexpr int64_t kRun = Words<T>::kRun;
  if (inner == 0) memset(sums, 0, count * width * sizeof(float));
  for (int64_t begin = 0; begin < inner; begin += kRun) {
    const float* some = x + words_of<T>(begin) * width;
    const int64_t end = begin + kRun;
    const Weights<T> w = run_of(outputs, inner, begin);
    const Weights<T> next = end < inner ? run_of(outputs, inner, end) : run_of(then, inner);
    if (width == kMostRows)
      sum_outputs<T, Lanes, 2>(some, w, count, next, begin > 0, sums);
    else if (width == kLanes)
      sum_outputs<T, Lanes, 1>(some, w, count, next, begin > 0, sums);
    else
      sum_outputs<T, EightLanes, 1>(some, w, count, next, begin > 0, sums);
  }
}

}  // namespace caprl::ops::cpu::CAPRL_ISA
