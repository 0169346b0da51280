// What the two passes of rms_norm share: how threads lie over rows, sums over a row.
#pragma once
#include <algorithm>

#include "kernels/device.h"

namespace caprl::kernels {
namespace {

constexpr int kThreads = 256;      // of a block, unless one row takes more
constexpr int kMaxThreads = 1024;  // of a row

/// How a block's threads lie over rows: `groups` rows at a time, `lanes` threads each, a power of
/// two or whole warps.
struct Layout {
  int lanes, groups;
  int threads() const { return lanes * groups; }
};

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// For rows of `units`, of which a thread takes `held`, if the threads suffice.
inline Layout layout_of(int64_t units, int held, int max_lanes) {
  const int needed = static_cast<int>(std::min<int64_t>(ceil_div(units, held), max_lanes));
  int lanes = 1;
  while (lanes < std::min(needed, kWarp)) lanes *= 2;
  if (needed > kWarp) lanes = static_cast<int>(ceil_div(needed, kWarp)) * kWarp;
  return {lanes, std::max(1, kThreads / lanes)};
}

/// A thread's place in its block, and the block's first row.
struct Place {
  int lanes, groups, group, lane;
  int64_t first, step;

  __device__ explicit Place(int lanes_of_row)
      : lanes(lanes_of_row),
        groups(static_cast<int>(blockDim.x) / lanes_of_row),
        group(static_cast<int>(threadIdx.x) / lanes_of_row),
        lane(static_cast<int>(threadIdx.x) % lanes_of_row),
        first(int64_t{blockIdx.x} * groups),
        step(int64_t{gridDim.x} * groups) {}
};

/// Sum over the `lanes` threads of each row, in a fixed order; all threads of the block take part.
/// `turn` alternates between 0 and 1 from call to call: the other one may still be read.
__device__ inline float row_sum(float value, int lanes, int turn) {
  __shared__ float partial[2][kMaxWarps];
  value = warp_reduce(value, Add{}, min(lanes, kWarp));
  if (lanes <= kWarp) return value;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (lane == 0) partial[turn][warp] = value;
  __syncthreads();
  const int warps = lanes / kWarp, first = warp / warps * warps;
  return warp_reduce(lane < warps ? partial[turn][first + lane] : 0.0f, Add{});
}

/// A row as packs. Indexed by pack, for nvcc splits a store of 16 bytes whose address it sees as an
/// index of values.
template <class T>
__device__ const Pack<T>* packs(const T* values, int64_t row, int64_t stride) {
  return as_packs(values + row * stride);
}
template <class T>
__device__ Pack<T>* packs(T* values, int64_t row, int64_t stride) {
  return as_packs(values + row * stride);
}

/// Reads this lane's packs of a row of `count` into `held`; those past the end stay as they are.
template <class T, int kHeld>
__device__ void read(Pack<T> (&held)[kHeld], const Pack<T>* row, int lane, int lanes, int count) {
#pragma unroll
  for (int k = 0; k < kHeld; ++k)
    if (lane + k * lanes < count) held[k] = row[lane + k * lanes];
}

/// Whether every row of `width` values begins and ends at a multiple of 16 bytes, and threads that
/// hold `held` packs each hold it.
template <class T, class... Strides>
bool fits(int held, int64_t width, Strides... strides) {
  constexpr int kSize = Pack<T>::kSize;
  return ((width | ... | strides) % kSize) == 0 && width <= int64_t{held} * kMaxThreads * kSize;
}

}  // namespace
}  // namespace caprl::kernels
