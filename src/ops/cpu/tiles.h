// Products of blocks that lie in a cache, float.
#pragma once
#include "ops/cpu/simd.h"

namespace caprl::ops::cpu::CAPRL_ISA {

/// A[r, k] is at from[r · row + k · step].
struct Strided {
  const float* from;
  int64_t row, step;
};

/// R rows and V vectors of `multiply`.
template <bool kAdd, int R, int V>
static inline void multiply_tile(const Strided& a, const float* b, int64_t inner, int64_t stride,
                                 float* c) {
  Lanes sums[R][V] = {};
  for (int r = 0; kAdd && r < R; ++r)
    for (int v = 0; v < V; ++v) sums[r][v] = load(c + r * stride + v * kLanes);
  for (int64_t k = 0; k < inner; ++k) {
    Lanes row[V];
    for (int v = 0; v < V; ++v) row[v] = load(b + k * stride + v * kLanes);
    for (int r = 0; r < R; ++r) {
      const Lanes factor = all(a.from[r * a.row + k * a.step]);
      for (int v = 0; v < V; ++v) add_product(factor, row[v], sums[r][v]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) store(sums[r][v], c + r * stride + v * kLanes);
}

template <bool kAdd, int V>
static inline void multiply_columns(Strided a, int64_t rows, const float* b, int64_t inner,
                                    int64_t stride, float* c) {
  // As many sums as the set has registers for, beside a row's vectors and a factor.
  constexpr int kRows = kLanes == 16 ? 8 : 4;
  const auto take = [&]<int R>() {
    for (; rows >= R; rows -= R, a.from += R * a.row, c += R * stride)
      multiply_tile<kAdd, R, V>(a, b, inner, stride, c);
  };
  take.template operator()<kRows>();
  take.template operator()<2>();
  take.template operator()<1>();
}

/// C[r, n] = Σ_k A[r, k] · B[k, n], or += : rows of B and C are `stride` apart, n < columns, a
/// multiple of kLanes. Every sum is in the order of k, whatever the shape.
template <bool kAdd>
static inline void multiply(const Strided& a, int64_t rows, const float* b, int64_t inner,
                            int64_t stride, float* c, int64_t columns) {
  constexpr int64_t kWide = 3 * kLanes;
  int64_t n = 0;
  for (; n + kWide <= columns; n += kWide)
    multiply_columns<kAdd, 3>(a, rows, b + n, inner, stride, c + n);
  if (columns - n == 2 * kLanes) multiply_columns<kAdd, 2>(a, rows, b + n, inner, stride, c + n);
  if (columns - n == kLanes) multiply_columns<kAdd, 1>(a, rows, b + n, inner, stride, c + n);
}

}  // namespace caprl::ops::cpu::CAPRL_ISA
