// Vectors of one instruction set. Files that include this are compiled once for each
// (CMakeLists.txt), with the set's name in CAPRL_ISA and the number of floats of a vector in
// CAPRL_LANES; everything in them is in a namespace of that name.
#pragma once
#include <stdint.h>
#include <string.h>
#ifdef __FMA__
#include <immintrin.h>
#endif

#include "kernels/math/bf16.h"

namespace caprl::ops::cpu::CAPRL_ISA {

using kernels::Bf16;

inline constexpr int kLanes = CAPRL_LANES;

typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef float EightLanes __attribute__((vector_size(32)));

/// As many words, and halves of words, as V has lanes.
template <class V>
struct BitsOf {
  typedef uint32_t Words __attribute__((vector_size(sizeof(V))));
  typedef uint16_t Halves __attribute__((vector_size(sizeof(V) / 2)));
};

/// To the second-level cache.
static inline void fetch(const void* at) { __builtin_prefetch(at, 0, 2); }

template <class V>
static inline V from_bf16(typename BitsOf<V>::Halves stored) {
  return (V)(__builtin_convertvector(stored, typename BitsOf<V>::Words) << 16);
}

template <class V = Lanes>
static inline V load(const float* from) {
  V x;
  memcpy(&x, from, sizeof x);
  return x;
}
template <class V = Lanes>
static inline V load(const Bf16* from) {
  typename BitsOf<V>::Halves stored;
  memcpy(&stored, from, sizeof stored);
  return from_bf16<V>(stored);
}
/// The first `count` values, at most V's lanes, then zeros.
template <class V = Lanes, class T>
static inline V load_first(const T* from, int64_t count) {
  T values[sizeof(V) / sizeof(float)] = {};
  memcpy(values, from, count * sizeof(T));
  return load<V>(values);
}
template <class V>
static inline void store(V x, float* to) {
  memcpy(to, &x, sizeof x);
}
/// As to_bf16(), but that what is too small for a normal number may become zero.
template <class V>
static inline typename BitsOf<V>::Halves as_bf16(V x) {
#ifdef __AVX512BF16__
  if constexpr (sizeof(V) == sizeof(__m512))
    return (typename BitsOf<V>::Halves)_mm512_cvtneps_pbh((__m512)x);
  else
    return (typename BitsOf<V>::Halves)_mm256_cvtneps_pbh((__m256)x);
#else
  using Words = typename BitsOf<V>::Words;
  const Words bits = (Words)x;
  const Words is_nan = (Words)((bits & 0x7fffffffu) > 0x7f800000u);
  const Words quiet = (bits >> 16) | 0x40u;
  const Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return __builtin_convertvector((is_nan & quiet) | (~is_nan & rounded),
                                 typename BitsOf<V>::Halves);
#endif
}
template <class V>
static inline void store(V x, Bf16* to) {
  const auto stored = as_bf16(x);
  memcpy(to, &stored, sizeof stored);
}
/// The first `count` values, at most V's lanes.
template <class V, class T>
static inline void store_first(V x, T* to, int64_t count) {
  T values[sizeof(V) / sizeof(float)];
  store(x, values);
  memcpy(to, values, count * sizeof(T));
}
/// As T stores it.
template <class T>
static inline Lanes rounded(Lanes x) {
  if constexpr (sizeof(T) == sizeof(float)) return x;
  return from_bf16<Lanes>(as_bf16(x));
}

/// sum += a · b, rounded once where the instruction set can. Said here rather than left to the
/// compiler: it may find a product and its addition in one place of the code and not in another,
/// and sums would depend on the shape of their tile.
static inline void add_product(EightLanes a, EightLanes b, EightLanes& sum) {
#ifdef __FMA__
  sum = (EightLanes)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)sum);
#else
  sum += a * b;
#endif
}
#if CAPRL_LANES == 16
static inline void add_product(Lanes a, Lanes b, Lanes& sum) {
#ifdef __AVX512F__
  sum = (Lanes)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)sum);
#else
  EightLanes x[2], y[2], z[2];
  memcpy(x, &a, sizeof x);
  memcpy(y, &b, sizeof y);
  memcpy(z, &sum, sizeof z);
  for (int i = 0; i < 2; ++i) add_product(x[i], y[i], z[i]);
  memcpy(&sum, z, sizeof z);
#endif
}
#endif

static inline float scalar(float x) { return x; }
static inline float scalar(Bf16 x) { return kernels::to_float(x); }

template <class V = Lanes>
static inline V all(float x) {
  return x - V{};
}
/// Of vectors that hold something else than floats.
template <class V>
static inline V repeat_bits(uint32_t x) {
  return (V)(x - typename BitsOf<V>::Words{});
}

static inline float sum(Lanes x) {
#if CAPRL_LANES == 16
  const EightLanes half = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
                          __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
#else
  const Lanes half = x;
#endif
  typedef float Four __attribute__((vector_size(16)));
  const Four four = __builtin_shufflevector(half, half, 0, 1, 2, 3) +
                    __builtin_shufflevector(half, half, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

static inline Lanes larger(Lanes a, Lanes b) { return a > b ? a : b; }
static inline float highest(Lanes x) {
#if CAPRL_LANES == 16
  x = larger(x,
             __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  x = larger(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3));
  x = larger(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1));
#else
  x = larger(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3));
  x = larger(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 2, 3, 0, 1));
#endif
  return x[0] > x[1] ? x[0] : x[1];
}

/// x[i][j] to x[j][i].
static inline void transpose(EightLanes (&x)[8]) {
  EightLanes pairs[8], fours[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = __builtin_shufflevector(x[i], x[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    pairs[i + 1] = __builtin_shufflevector(x[i], x[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      const EightLanes a = pairs[i + j], b = pairs[i + j + 2];
      fours[i + 2 * j] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
      fours[i + 2 * j + 1] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; ++i) {
    x[i] = __builtin_shufflevector(fours[i], fours[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    x[i + 4] = __builtin_shufflevector(fours[i], fours[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

}  // namespace caprl::ops::cpu::CAPRL_ISA
