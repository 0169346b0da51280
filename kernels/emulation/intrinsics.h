// CUDA's functions of one thread: bits, atomics, arithmetic. The approximate ones are exact here,
// so tolerances of tests must leave room for both.
#pragma once
#include <atomic>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>

inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}

/// Of equal types only, for CUDA converts mixed ones by rules of its own.
template <std::integral T>
constexpr T max(T a, T b) {
  return a > b ? a : b;
}
template <std::integral T>
constexpr T min(T a, T b) {
  return a < b ? a : b;
}

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return std::sqrt(x); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
// Macros, for glibc declares these names too.
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __powf(x, y) powf(x, y)

template <class T>
T __ldg(const T* from) {
  return *from;
}
inline void __threadfence() {}  // blocks run one after another

namespace caprl::emulation {

/// The integers and floats whose atomics nvcc knows, not their synonyms such as int64_t.
template <class T>
concept AtomicInteger =
    std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long>;
template <class T>
concept Atomic = AtomicInteger<T> || std::same_as<T, float>;

template <class T, class Change>
T change_atomically(T* target, Change change) {
  std::atomic_ref<T> value(*target);
  T old = value.load(std::memory_order_relaxed);
  while (!value.compare_exchange_weak(old, change(old), std::memory_order_relaxed)) {
  }
  return old;
}

}  // namespace caprl::emulation

template <caprl::emulation::Atomic T>
T atomicAdd(T* target, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*target).fetch_add(value, std::memory_order_relaxed);
}
template <caprl::emulation::AtomicInteger T>
T atomicMax(T* target, std::type_identity_t<T> value) {
  return caprl::emulation::change_atomically(target, [=](T old) { return max(old, value); });
}
template <caprl::emulation::AtomicInteger T>
T atomicMin(T* target, std::type_identity_t<T> value) {
  return caprl::emulation::change_atomically(target, [=](T old) { return min(old, value); });
}
template <caprl::emulation::AtomicInteger T>
T atomicCAS(T* target, std::type_identity_t<T> expected, std::type_identity_t<T> desired) {
  std::atomic_ref<T>(*target).compare_exchange_strong(expected, desired, std::memory_order_relaxed);
  return expected;
}
template <caprl::emulation::Atomic T>
T atomicExch(T* target, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*target).exchange(value, std::memory_order_relaxed);
}
