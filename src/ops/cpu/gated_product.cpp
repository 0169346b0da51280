#include "ops/cpu/gating.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/simd.h"
#include "ops/cpu/sums.h"

namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

constexpr int64_t kOutputs = 48;  // whose sums are kept, of gates and of ups

/// Sums of one matrix for the rows that lie side by side, with its biases.
template <class T>
void sum_with_bias(const GatedProduct<T>& p, const float* x, int64_t width, const T* weight,
                   const T* bias, int64_t first, int64_t count, const T* then, float* sums) {
  sum_block(x, width, weight + first * p.inner, p.inner, count, then, sums);
  for (int64_t o = 0; bias && o < count; ++o)
    for (int64_t r = 0; r < width; ++r) sums[o * width + r] += scalar(bias[first + o]);
}

/// silu(gates) · ups, each rounded as T stores it, in the gates' place.
template <class T>
void gate_sums(float* gates, const float* ups, int64_t count) {
  for (int64_t i = 0; i < count; i += kGatedAtOnce) {
    float some[kGatedAtOnce], factors[kGatedAtOnce];
    for (int64_t j = 0; j < kGatedAtOnce; j += kLanes)
      store(rounded<T>(load(gates + i + j)), some + j);
    silu(some, factors);
    for (int64_t j = 0; j < kGatedAtOnce; j += kLanes)
      store(rounded<T>(rounded<T>(load(factors + j)) * rounded<T>(load(ups + i + j))),
            gates + i + j);
  }
}

/// Values [count, width] to words of packed rows.
template <class T>
void put_words(const float* values, int64_t count, int64_t width, float* to) {
  if constexpr (Words<T>::kValues == 1) {
    memcpy(to, values, count * width * sizeof(float));
  } else {
    using Bits = BitsOf<EightLanes>;
    const auto bits = [&](int64_t o, int64_t r) {
      if (o == count) return Bits::Words{};
      const auto halves = as_bf16(load<EightLanes>(values + o * width + r));
      return __builtin_convertvector(halves, Bits::Words);
    };
    for (int64_t o = 0; o < count; o += 2)
      for (int64_t r = 0; r < width; r += 8) {
        const auto pair = bits(o, r) | bits(o + 1, r) << 16;
        memcpy(to + o / 2 * width + r, &pair, sizeof pair);
      }
  }
}

}  // namespace

template <class T>
void gated_product(const GatedProduct<T>& p, int64_t first, int64_t last) {
  alignas(64) float gates[kOutputs * kMostRows], ups[kOutputs * kMostRows];  // [outputs, width]
  const T* then = p.then ? p.then : p.gate + first * p.inner;
  for (int64_t o = first; o < last; o += kOutputs) {
    const int64_t count = least(last - o, kOutputs);
    const T *here = p.gate + o * p.inner, *next = o + count < last ? here + count * p.inner : then;
    for (int64_t row = 0; row < p.rows;) {
      const int64_t width = rows_side_by_side(p.rows - row);
      const float* x = p.x + row * words_of<T>(p.inner);
      sum_with_bias(p, x, width, p.gate, p.gate_bias, o, count, p.up + o * p.inner, gates);
      sum_with_bias(p, x, width, p.up, p.up_bias, o, count, row + width < p.rows ? here : next,
                    ups);
      gate_sums<T>(gates, ups, count * width);
      put_words<T>(gates, count, width,
                   p.gated + row * words_of<T>(p.outputs) + words_of<T>(o) * width);
      row += width;
    }
  }
}

template void gated_product(const GatedProduct<float>&, int64_t, int64_t);
template void gated_product(const GatedProduct<Bf16>&, int64_t, int64_t);

}  // namespace caprl::ops::cpu::CAPRL_ISA
