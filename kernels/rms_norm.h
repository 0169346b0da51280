// Root-mean-square normalisation (Zhang & Sennrich, arXiv 1910.07467) of rows, with the residual
// sum before it, and its gradient.
#pragma once
#include <cstdint>

#include "kernels/math/bf16.h"
#include "kernels/stream.h"

namespace caprl::kernels {

/// y = weight · round(x · scale) with scale = 1 / √(mean(x²) + eps): statistics in float, rounded
/// to T before the weight is applied as transformers does, and once more as `y`. With `delta` the
/// residual stream goes on first: sum = round(x + delta), and sum takes the place of x.
///
/// Device pointers to N rows of H values; an operand's rows are its stride (≥ H values) apart.
/// Hidden states, or heads (N = tokens · heads). Any alignment; wide access where every row of
/// every operand is 16-byte aligned and H is whole packs of 16 bytes. Outputs may be inputs of the
/// same stride (`sum` = `x` adds in place). NaN and infinity reach their row only. H < 2³⁰.
template <class T>
struct RmsNorm {
  const T* x = nullptr;
  const T* delta = nullptr;   // null: nothing to add
  const T* weight = nullptr;  // [H]
  T* sum = nullptr;           // null without delta
  T* y = nullptr;
  float* scale = nullptr;  // [N], for the backward pass; null: not wanted
  int64_t x_stride = 0, delta_stride = 0, sum_stride = 0, y_stride = 0;
  int64_t num_rows = 0, width = 0;  // N, H
  float eps = 0;
};

/// With n = x · scale and g = dy · weight:
///   dx = scale · (g − n · mean(g · n)) + dsum, computed in float and rounded once;
///   dweight += Σ over rows of dy · n, in an order that only N, H, T and the alignment decide.
/// `x` is what was normalised (`sum` where there was a delta, whose gradient equals dx), `dsum`
/// what else reached it. `dx` may be x, dy or dsum of the same stride.
template <class T>
struct RmsNormBackward {
  const T* dy = nullptr;
  const T* x = nullptr;
  const T* weight = nullptr;     // [H]
  const float* scale = nullptr;  // [N], of the forward pass
  const T* dsum = nullptr;       // null: none
  T* dx = nullptr;
  float* dweight = nullptr;    // [H]; null: not wanted
  float* workspace = nullptr;  // rms_norm_workspace values, 16-byte aligned; null without dweight
  int64_t dy_stride = 0, x_stride = 0, dsum_stride = 0, dx_stride = 0;
  int64_t num_rows = 0, width = 0;
};

/// T: float, Bf16.
template <class T>
void rms_norm(const RmsNorm<T>& rows, Stream stream);
template <class T>
void rms_norm_backward(const RmsNormBackward<T>& rows, Stream stream);

/// How many floats rms_norm_backward<T> works on; what they hold before does not matter.
template <class T>
int64_t rms_norm_workspace(int64_t num_rows, int64_t width);

}  // namespace caprl::kernels
