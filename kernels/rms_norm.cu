// Rows of H values normalised by their root mean square, with the residual sum before.
//
// Idea: one read and one write of everything: a row's values stay in registers between the sum of
// squares and its use. `lanes` threads share a row: part of a warp (several rows a warp where rows
// are heads of 64 or 128) or up to a block of whole warps. Each holds 2 packs of 16 bytes; 32 bytes
// of x in flight a thread, 64 with the delta, are more than an H200 needs at half occupancy. Rows
// that are not aligned, or longer than registers hold (8192 floats, 16384 Bf16), are read twice,
// value by value.
#include "kernels/rms_norm.h"

#include <algorithm>

#include "kernels/device.h"
#include "kernels/rms_norm_rows.h"

namespace caprl::kernels {
namespace {

constexpr int kHeld = 2;    // packs that a thread holds of a row
constexpr int kValues = 8;  // values of a row for a thread, where they are read one by one
constexpr int kThreadsPerProcessor = 4096;  // resident ones and as many waiting

template <class T>
__device__ T rounded_sum(T x, T delta) {
  return from_float<T>(to_float(x) + to_float(delta));
}

template <class T>
__device__ T normalised(T x, float scale, T weight) {
  return from_float<T>(to_float(from_float<T>(to_float(x) * scale)) * to_float(weight));
}

template <class T, bool kDelta>
__global__ void __launch_bounds__(kMaxThreads) packs_kernel(RmsNorm<T> a, int lanes) {
  constexpr int kSize = Pack<T>::kSize;
  const Place at(lanes);
  const int count = static_cast<int>(a.width / kSize);
  int turn = 0;
  for (int64_t first = at.first; first < a.num_rows; first += at.step, turn ^= 1) {
    const int64_t row = first + at.group;
    const int own = row < a.num_rows ? count : 0;
    Pack<T> weight[kHeld], x[kHeld];
    read(x, packs(a.x, row, a.x_stride), at.lane, lanes, own);
    read(weight, packs(a.weight, 0, 0), at.lane, lanes, own);
    if constexpr (kDelta) {
      Pack<T> delta[kHeld];
      read(delta, packs(a.delta, row, a.delta_stride), at.lane, lanes, own);
#pragma unroll
      for (int k = 0; k < kHeld; ++k) {
        if (at.lane + k * lanes >= own) continue;
#pragma unroll
        for (int i = 0; i < kSize; ++i)
          x[k].values[i] = rounded_sum(x[k].values[i], delta[k].values[i]);
        packs(a.sum, row, a.sum_stride)[at.lane + k * lanes] = x[k];
      }
    }
    float squares = 0;
#pragma unroll
    for (int k = 0; k < kHeld; ++k) {
      if (at.lane + k * lanes >= own) continue;
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        const float value = to_float(x[k].values[i]);
        squares += value * value;
      }
    }
    const float mean = row_sum(squares, lanes, turn) / static_cast<float>(a.width);
    const float scale = rsqrtf(mean + a.eps);
#pragma unroll
    for (int k = 0; k < kHeld; ++k) {
      if (at.lane + k * lanes >= own) continue;
      Pack<T> y;
#pragma unroll
      for (int i = 0; i < kSize; ++i)
        y.values[i] = normalised(x[k].values[i], scale, weight[k].values[i]);
      packs(a.y, row, a.y_stride)[at.lane + k * lanes] = y;
    }
    if (a.scale != nullptr && at.lane == 0 && own > 0) a.scale[row] = scale;
  }
}

/// Any alignment and length.
template <class T, bool kDelta>
__global__ void __launch_bounds__(kThreads) values_kernel(RmsNorm<T> a, int lanes) {
  const Place at(lanes);
  int turn = 0;
  for (int64_t first = at.first; first < a.num_rows; first += at.step, turn ^= 1) {
    const int64_t row = first + at.group;
    const int own = row < a.num_rows ? static_cast<int>(a.width) : 0;
    const T* x = a.x + row * a.x_stride;
    float squares = 0;
    for (int j = at.lane; j < own; j += lanes) {
      T value = x[j];
      if constexpr (kDelta) {
        value = rounded_sum(value, a.delta[row * a.delta_stride + j]);
        a.sum[row * a.sum_stride + j] = value;
      }
      squares += to_float(value) * to_float(value);
    }
    const float mean = row_sum(squares, lanes, turn) / static_cast<float>(a.width);
    const float scale = rsqrtf(mean + a.eps);
    if constexpr (kDelta) x = a.sum + row * a.sum_stride;  // each thread reads what it wrote
    for (int j = at.lane; j < own; j += lanes)
      a.y[row * a.y_stride + j] = normalised(x[j], scale, a.weight[j]);
    if (a.scale != nullptr && at.lane == 0 && own > 0) a.scale[row] = scale;
  }
}

template <class Kernel, class T>
void launch_rows(Kernel kernel, const Layout& layout, const RmsNorm<T>& a, Stream stream) {
  const int64_t most =
      int64_t{num_multiprocessors()} * std::max(1, kThreadsPerProcessor / layout.threads());
  const int64_t blocks = std::min(ceil_div(a.num_rows, layout.groups), most);
  launch(kernel, dim3(static_cast<unsigned>(blocks)), layout.threads(), 0, stream, a, layout.lanes);
}

template <class T, bool kDelta>
void forward(const RmsNorm<T>& a, Stream stream) {
  const T* const sum = kDelta ? a.sum : nullptr;
  const int64_t delta_stride = kDelta ? a.delta_stride : 0, sum_stride = kDelta ? a.sum_stride : 0;
  if (aligned16(a.x, a.delta, a.weight, sum, a.y) &&
      fits<T>(kHeld, a.width, a.x_stride, delta_stride, sum_stride, a.y_stride))
    launch_rows(packs_kernel<T, kDelta>, layout_of(a.width / Pack<T>::kSize, kHeld, kMaxThreads), a,
                stream);
  else
    launch_rows(values_kernel<T, kDelta>, layout_of(a.width, kValues, kThreads), a, stream);
}

}  // namespace

template <class T>
void rms_norm(const RmsNorm<T>& a, Stream stream) {
  if (a.num_rows == 0 || a.width == 0) return;
  if (a.delta != nullptr)
    forward<T, true>(a, stream);
  else
    forward<T, false>(a, stream);
}

template void rms_norm<float>(const RmsNorm<float>&, Stream);
template void rms_norm<Bf16>(const RmsNorm<Bf16>&, Stream);

}  // namespace caprl::kernels
