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
typedef uint32_t WordLanes __attribute__((vector_size(4 * kLanes)));
typedef uint16_t HalfLanes __attribute__((vector_size(2 * kLanes)));
typedef float Four __attribute__((vector_size(16)));
typedef float EightLanes __attribute__((vector_size(32)));

/// To the second-level cache.
static inline void fetch(const void* at) { __builtin_prefetch(at, 0, 2); }

template <class V>
static inline V load_as(const float* from) {
  V x;
  memcpy(&x, from, sizeof x);
  return x;
}
static inline Lanes load(const float* from) { return load_as<Lanes>(from); }
static inline Lanes load(const Bf16* from) {
  HalfLanes stored;
  memcpy(&stored, from, sizeof stored);
  const WordLanes bits = __builtin_convertvector(stored, WordLanes) << 16;
  Lanes x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
/// The first `count` ≤ kLanes values, then zeros.
template <class T>
static inline Lanes load_first(const T* from, int64_t count) {
  T values[kLanes] = {};
  memcpy(values, from, count * sizeof(T));
  return load(values);
}
static inline void store(Lanes x, float* to) { memcpy(to, &x, sizeof x); }
/// As to_bf16(): the stored bits.
static inline WordLanes bf16_bits(Lanes x) {
  WordLanes bits;
  memcpy(&bits, &x, sizeof bits);
  const WordLanes is_nan = (WordLanes)((bits & 0x7fffffffu) > 0x7f800000u);
  const WordLanes quiet = (bits >> 16) | 0x40u;
  const WordLanes rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return (is_nan & quiet) | (~is_nan & rounded);
}
static inline void store(Lanes x, Bf16* to) {
  const HalfLanes stored = __builtin_convertvector(bf16_bits(x), HalfLanes);
  memcpy(to, &stored, sizeof stored);
}

/// The first `count` ≤ kLanes values.
template <class T>
static inline void store_first(Lanes x, T* to, int64_t count) {
  T values[kLanes];
  store(x, values);
  memcpy(to, values, count * sizeof(T));
}
/// As T stores it.
template <class T>
static inline Lanes rounded(Lanes x) {
  if constexpr (sizeof(T) == sizeof(float)) return x;
  const WordLanes bits = bf16_bits(x) << 16;
  memcpy(&x, &bits, sizeof x);
  return x;
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
  typedef uint32_t Bits __attribute__((vector_size(sizeof(V))));
  return (V)(x - Bits{});
}

static inline float sum(Lanes x) {
#if CAPRL_LANES == 16
  const EightLanes half = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
                          __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
#else
  const Lanes half = x;
#endif
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

static inline void transpose(Four& a, Four& b, Four& c, Four& d) {
  const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Four cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

}  // namespace caprl::ops::cpu::CAPRL_ISA
