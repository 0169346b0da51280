#include "kernels/math/fast_math.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/simd.h"

namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

template <class T>
float rounded(float x) {
  return kernels::to_float(kernels::from_float<T>(x));
}

}  // namespace

template <class T>
void norm(const NormRows<T>& p, int64_t first, int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    const T* x = p.x + row * p.width;
    const T* delta = p.delta ? p.delta + row * p.width : nullptr;
    T* sums = p.sum ? p.sum + row * p.width : nullptr;
    T* normed = p.normed + row * p.width;
    const auto get = [&](const T* from, int64_t i) {
      return i + kLanes <= p.width ? load(from + i) : load_first(from + i, p.width - i);
    };
    const auto put = [&](Lanes values, T* to, int64_t i) {
      if (i + kLanes <= p.width) return store(values, to + i);
      store_first(values, to + i, p.width - i);
    };
    const T* total = delta ? sums : x;
    Lanes squares{};
    for (int64_t i = 0; i < p.width; i += kLanes) {
      if (delta) put(get(x, i) + get(delta, i), sums, i);
      const Lanes value = get(total, i);
      squares += value * value;
    }
    const Lanes scale =
        all(1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(p.width) + p.eps));
    for (int64_t i = 0; i < p.width; i += kLanes)
      put(rounded<T>(get(total, i) * scale) * get(p.weight, i), normed, i);
  }
}

template <class T>
void gate(const GateValues<T>& p, int64_t first, int64_t last) {
  // Always whole blocks: what a compiler makes of a loop's rest may round otherwise.
  constexpr int64_t kBlock = 16;
  const auto block = [](const T* gates, const T* ups, T* outs) {
    for (int64_t i = 0; i < kBlock; ++i) {
      const float x = scalar(gates[i]);
      const float silu = rounded<T>(x / (1.0f + kernels::fast_exp(-x < 88.0f ? -x : 88.0f)));
      outs[i] = kernels::from_float<T>(silu * scalar(ups[i]));
    }
  };
  int64_t i = first;
  for (; i + kBlock <= last; i += kBlock) block(p.gate + i, p.up + i, p.out + i);
  if (i == last) return;
  T gates[kBlock] = {}, ups[kBlock] = {}, outs[kBlock];
  memcpy(gates, p.gate + i, (last - i) * sizeof(T));
  memcpy(ups, p.up + i, (last - i) * sizeof(T));
  block(gates, ups, outs);
  memcpy(p.out + i, outs, (last - i) * sizeof(T));
}

template <class T, class Table>
void turn(const TurnRows<T, Table>& p, int64_t first, int64_t last) {
  const int64_t half = p.head_dim / 2;
  for (int64_t row = first; row < last; ++row) {
    const Table *cos = p.cos + row * half, *sin = p.sin + row * half;
    for (int64_t head = 0; head < p.heads; ++head) {
      const T* low = p.x + row * p.x_stride + head * p.head_dim;
      const T* high = low + half;
      T* out = p.out + (row * p.heads + head) * p.head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const float a = scalar(low[i]), b = scalar(high[i]), c = scalar(cos[i]), s = scalar(sin[i]);
        // Products rounded as ATen's composition rounds them.
        out[i] = kernels::from_float<T>(rounded<T>(a * c) - rounded<T>(b * s));
        out[half + i] = kernels::from_float<T>(rounded<T>(b * c) + rounded<T>(a * s));
      }
    }
  }
}

template void norm(const NormRows<float>&, int64_t, int64_t);
template void norm(const NormRows<Bf16>&, int64_t, int64_t);
template void gate(const GateValues<float>&, int64_t, int64_t);
template void gate(const GateValues<Bf16>&, int64_t, int64_t);
template void turn(const TurnRows<float, float>&, int64_t, int64_t);
template void turn(const TurnRows<Bf16, Bf16>&, int64_t, int64_t);

}  // namespace caprl::ops::cpu::CAPRL_ISA
