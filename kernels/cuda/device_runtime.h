// The part of CUDA that kernels use, as nvcc gives it: threadIdx, blockIdx, blockDim, gridDim,
// __syncthreads, __syncwarp,
// __shfl_sync, __shfl_xor_sync, __shfl_down_sync, __ballot_sync, atomicAdd, atomicMax, __shared__,
// and what is below. kernels/emulation/device_runtime.h is its counterpart on the CPU; the include
// path chooses.
#pragma once
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>
#include <string.h>

#include <stdexcept>
#include <string>

#include "kernels/stream.h"

/// Dynamic shared memory of a kernel as `Type* name`, 16-byte aligned.
#define CAPRL_DYNAMIC_SHARED(Type, name)                                      \
  extern __shared__ __align__(16) unsigned char caprl_dynamic_shared_bytes[]; \
  Type* const name = reinterpret_cast<Type*>(caprl_dynamic_shared_bytes)

namespace caprl::kernels {

inline void check_cuda(cudaError_t status, const char* what) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string("[cuda] ") + what + ": " + cudaGetErrorString(status));
}

/// Queues kernel<<<grid, block, shared_bytes, stream>>>(arguments…). An empty grid is no work.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, int block, size_t shared_bytes, Stream stream,
            Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  constexpr size_t kAlwaysAllowed = 48 * 1024;
  if (shared_bytes > kAlwaysAllowed)
    check_cuda(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shared_bytes)),
               "shared memory of a kernel");
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(block));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  check_cuda(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...), "launch of a kernel");
}

/// Of the current device.
inline int num_multiprocessors() {
  int device = 0, count = 0;
  check_cuda(cudaGetDevice(&device), "current device");
  check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device),
             "number of multiprocessors");
  return count;
}

/// Where a load or store of 16 bytes may go.
template <class T>
__device__ inline T* aligned_16(T* pointer) {
  return pointer;
}

/// to_bf16 of both, `low` in the lower half: one instruction.
__device__ inline uint32_t rounded_pair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  uint32_t word;
  memcpy(&word, &pair, sizeof word);
  return word;
}

}  // namespace caprl::kernels
