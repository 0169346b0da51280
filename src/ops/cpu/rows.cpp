#include "ops/cpu/gating.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/simd.h"

namespace caprl::ops::cpu::CAPRL_ISA {
namespace {

template <class T>
float rounded(float x) {
  return kernels::to_float(kernels::from_float<T>(x));
}

/// A vector of a row, or the part of one that is its end; what is missing is zero.
struct Whole {
  template <class T>
  Lanes get(const T* from) const {
    return load(from);
  }
  template <class T>
  void put(Lanes values, T* to) const {
    store(values, to);
  }
};
struct Part {
  int64_t count;
  template <class T>
  Lanes get(const T* from) const {
    return load_first(from, count);
  }
  template <class T>
  void put(Lanes values, T* to) const {
    store_first(values, to, count);
  }
};

/// work(i, part) for all of a row's vectors, from place i on.
template <class Work>
void over_row(int64_t width, const Work& work) {
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) work(i, Whole{});
  if (i < width) work(i, Part{width - i});
}

/// Calls `block` with kGatedAtOnce elements at a time.
template <class T, size_t kInputs, size_t kOutputs, class Block>
void in_blocks(const T* const (&inputs)[kInputs], T* const (&outputs)[kOutputs], int64_t first,
               int64_t last, Block block) {
  const T* in[kInputs];
  T* out[kOutputs];
  int64_t begin = first;
  for (; begin + kGatedAtOnce <= last; begin += kGatedAtOnce) {
    for (size_t i = 0; i < kInputs; ++i) in[i] = inputs[i] + begin;
    for (size_t i = 0; i < kOutputs; ++i) out[i] = outputs[i] + begin;
    block(in, out);
  }
  if (begin == last) return;
  const size_t bytes = (last - begin) * sizeof(T);
  T values[kInputs][kGatedAtOnce] = {}, results[kOutputs][kGatedAtOnce];
  for (size_t i = 0; i < kInputs; ++i) {
    memcpy(values[i], inputs[i] + begin, bytes);
    in[i] = values[i];
  }
  for (size_t i = 0; i < kOutputs; ++i) out[i] = results[i];
  block(in, out);
  for (size_t i = 0; i < kOutputs; ++i) memcpy(outputs[i] + begin, results[i], bytes);
}

/// Of kGatedAtOnce gates and ups, whose product has the gradient in[2]; also the divisors of the
/// gates' sigmoids.
template <class T>
void gate_gradients(const T* const* in, T* const* out, float* __restrict divisors) {
  const T* __restrict gates = in[0], * __restrict ups = in[1], * __restrict gradients = in[2];
  T* __restrict d_gates = out[0], * __restrict d_ups = out[1];
  for (int64_t i = 0; i < kGatedAtOnce; ++i) {
    const float x = scalar(gates[i]), g = scalar(gradients[i]);
    divisors[i] = one_plus_exp_of_minus(x);
    const float s = 1.0f / divisors[i];
    d_gates[i] = kernels::from_float<T>(g * scalar(ups[i]) * s * (1.0f + x * (1.0f - s)));
    d_ups[i] = kernels::from_float<T>(g * rounded<T>(x * s));
  }
}

}  // namespace

template <class T>
void norm(const NormRows<T>& p, int64_t first, int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    const T* x = p.x + row * p.width;
    const T* delta = p.delta ? p.delta + row * p.width : nullptr;
    T* sums = p.sum ? p.sum + row * p.width : nullptr;
    T* normed = p.normed + row * p.width;
    const T* total = delta ? sums : x;
    Lanes squares{};
    over_row(p.width, [&](int64_t i, auto part) {
      Lanes value = part.get(x + i);
      if (delta) {
        value = rounded<T>(value + part.get(delta + i));
        part.put(value, sums + i);
      }
      add_product(value, value, squares);
    });
    const float scale = 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(p.width) + p.eps);
    if (p.scale) p.scale[row] = scale;
    over_row(p.width, [&](int64_t i, auto part) {
      part.put(rounded<T>(part.get(total + i) * all(scale)) * part.get(p.weight + i), normed + i);
    });
  }
}

template <class T>
void norm_backward(const NormGradients<T>& p, int64_t first, int64_t last, float* d_weight) {
  for (int64_t row = first; row < last; ++row) {
    const T *g = p.g + row * p.width, *sums = p.sum + row * p.width;
    const T* g_sum = p.g_sum ? p.g_sum + row * p.width : nullptr;
    T* d_sum = p.d_sum + row * p.width;
    const Lanes scale = all(p.scale[row]);
    Lanes along{};
    over_row(p.width, [&](int64_t i, auto part) {
      const Lanes gradient = part.get(g + i), unit = part.get(sums + i) * scale;
      add_product(gradient * part.get(p.weight + i), unit, along);
      if (!d_weight) return;
      Lanes sum = part.get(d_weight + i);
      add_product(gradient, unit, sum);
      part.put(sum, d_weight + i);
    });
    const Lanes minus_mean = all(-sum(along) / static_cast<float>(p.width));
    over_row(p.width, [&](int64_t i, auto part) {
      const Lanes unit = part.get(sums + i) * scale;
      Lanes across = unit * minus_mean;
      add_product(part.get(g + i), part.get(p.weight + i), across);
      Lanes result{};
      if (g_sum) result = part.get(g_sum + i);
      add_product(across, scale, result);
      part.put(result, d_sum + i);
    });
  }
}

template <class T>
void gate(const GateValues<T>& p, int64_t first, int64_t last) {
  const T* const in[] = {p.gate, p.up};
  T* const out[] = {p.out};
  in_blocks(in, out, first, last, [](const T* const* in, T* const* out) {
    float gates[kGatedAtOnce], factors[kGatedAtOnce];
    for (int64_t i = 0; i < kGatedAtOnce; i += kLanes) store(load(in[0] + i), gates + i);
    silu(gates, factors);
    for (int64_t i = 0; i < kGatedAtOnce; i += kLanes)
      store(rounded<T>(load(factors + i)) * load(in[1] + i), out[0] + i);
  });
}

template <class T>
void gate_backward(const GateGradients<T>& p, int64_t first, int64_t last) {
  const T* const in[] = {p.gate, p.up, p.g};
  if (!p.out) {
    T* const out[] = {p.d_gate, p.d_up};
    return in_blocks(in, out, first, last, [](const T* const* in, T* const* out) {
      float divisors[kGatedAtOnce];
      gate_gradients(in, out, divisors);
    });
  }
  T* const out[] = {p.d_gate, p.d_up, p.out};
  in_blocks(in, out, first, last, [](const T* const* in, T* const* out) {
    float divisors[kGatedAtOnce];
    gate_gradients(in, out, divisors);
    for (int64_t i = 0; i < kGatedAtOnce; i += kLanes)
      store(rounded<T>(load(in[0] + i) / load(divisors + i)) * load(in[1] + i), out[2] + i);
  });
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
template void norm_backward(const NormGradients<float>&, int64_t, int64_t, float*);
template void norm_backward(const NormGradients<Bf16>&, int64_t, int64_t, float*);
template void gate(const GateValues<float>&, int64_t, int64_t);
template void gate(const GateValues<Bf16>&, int64_t, int64_t);
template void gate_backward(const GateGradients<float>&, int64_t, int64_t);
template void gate_backward(const GateGradients<Bf16>&, int64_t, int64_t);
template void turn(const TurnRows<float, float>&, int64_t, int64_t);
template void turn(const TurnRows<Bf16, Bf16>&, int64_t, int64_t);

}  // namespace caprl::ops::cpu::CAPRL_ISA
