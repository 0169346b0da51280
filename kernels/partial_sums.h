// Sums over many rows: blocks leave one row of partial sums each, which are then added up in a
// fixed order.
#pragma once
#include "kernels/device.h"

namespace caprl::kernels {
namespace {

constexpr int kSlices = 16;  // warps of a block that add up partial sums
constexpr int kSumThreads = kSlices * kWarp;

/// sums += the sum of `count` rows of `width` partial sums: a warp's lanes are columns, its block's
/// warps take rows in turn.
__global__ void __launch_bounds__(kSumThreads)
    add_partials_kernel(const float* partials, int64_t count, int64_t width, float* sums) {
  __shared__ float slices[kSlices][kWarp];
  const int slice = static_cast<int>(threadIdx.x) / kWarp,
            lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t column = int64_t{blockIdx.x} * kWarp + lane;
  float sum = 0;
  if (column < width)
    for (int64_t i = slice; i < count; i += kSlices) sum += partials[i * width + column];
  slices[slice][lane] = sum;
  __syncthreads();
  if (slice > 0 || column >= width) return;
  for (int i = 1; i < kSlices; ++i) sum += slices[i][lane];
  sums[column] += sum;
}

inline void add_partials(const float* partials, int64_t count, int64_t width, float* sums,
                         Stream stream) {
  launch(add_partials_kernel, dim3(static_cast<unsigned>((width + kWarp - 1) / kWarp)), kSumThreads,
         0, stream, partials, count, width, sums);
}

}  // namespace
}  // namespace caprl::kernels
