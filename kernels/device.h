// What all kernels share on the device: wide loads, reductions over a warp and a block.
#pragma once
#include <device_runtime.h>

#include <stdint.h>

#include "kernels/math/bf16.h"

namespace caprl::kernels {

inline constexpr int kWarp = 32;
inline constexpr int kMaxWarps = 32;  // of a block
inline constexpr unsigned kAllLanes = 0xffffffffu;
inline constexpr float kLog2E = 1.44269504088896341f;  // e^x = 2^(kLog2E · x)

/// 16 bytes of consecutive values: one load or store where the address is aligned.
template <class T>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / sizeof(T);
  T values[kSize];
};

/// Instead of a Pack where rows are not aligned.
template <class T>
struct Single {
  static constexpr int kSize = 1;
  T values[1];
};

template <class T>
__device__ inline const Pack<T>* as_packs(const T* values) {
  return reinterpret_cast<const Pack<T>*>(aligned_16(values));
}
template <class T>
__device__ inline Pack<T>* as_packs(T* values) {
  return reinterpret_cast<Pack<T>*>(aligned_16(values));
}

template <class T>
__device__ inline Pack<T> load_pack(const T* from) {
  return *as_packs(from);
}
template <class T>
__device__ inline void store_pack(T* to, const Pack<T>& pack) {
  *as_packs(to) = pack;
}

/// Whether all of `pointers` allow 16-byte access.
template <class... Pointers>
CAPRL_HOST_DEVICE inline bool aligned16(const Pointers*... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) | ...) & 15u) == 0;
}

struct Add {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
/// The second where the first is NaN, so a NaN may get lost.
struct Max {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

struct Min {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};

// Kernels and the helpers with shared memory live in unnamed namespaces, as the emulation asks for.
namespace {

/// Every lane gets the combination of its group of `lanes`, a power of two, in a fixed order. All
/// lanes of the warp must take part.
template <class T, class Combine>
__device__ T warp_reduce(T value, Combine combine, int lanes = kWarp) {
  for (int offset = lanes / 2; offset > 0; offset /= 2)
    value = combine(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

/// Every thread gets the combination over the block in a fixed order, the same for every launch.
/// blockDim.x a multiple of 32; all threads must take part. `identity` is neutral in `combine`.
template <class T, class Combine>
__device__ T block_reduce(T value, Combine combine, T identity) {
  __shared__ T partial[kMaxWarps];
  const int warp = static_cast<int>(threadIdx.x) / kWarp,
            lane = static_cast<int>(threadIdx.x) % kWarp;
  const int num_warps = static_cast<int>(blockDim.x) / kWarp;
  value = warp_reduce(value, combine);
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  value = warp_reduce(lane < num_warps ? partial[lane] : identity, combine);
  __syncthreads();  // before the next reduction writes `partial`
  return value;
}

}  // namespace
}  // namespace caprl::kernels
