// The part of CUDA that kernels use, on the CPU: what kernels/cuda/device_runtime.h is to nvcc.
// Each thread of a block is a fiber (block.h); what CUDA leaves undefined ends in an Error
// (settings.h). README.md tells what is caught.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <type_traits>
#include <version>
#ifdef __cpp_lib_source_location
#include <source_location>
#endif

#include "kernels/emulation/intrinsics.h"
#include "kernels/math/bf16.h"
#include "kernels/stream.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))

/// Blocks run one after another, so a static variable is shared by the block. The section of its
/// own (shared_section.ld) is filled with NaN before each block. The dot: Clang's AddressSanitizer
/// does not guard variables of sections whose names are identifiers.
#define __shared__ static __attribute__((section(".caprl_shared")))

/// Dynamic shared memory of a kernel as `Type* name`, 16-byte aligned.
#define CAPRL_DYNAMIC_SHARED(Type, name) \
  Type* const name = static_cast<Type*>(::caprl::emulation::dynamic_shared())

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
extern uint3 threadIdx, blockIdx;  // of the thread that runs now
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace caprl::emulation {

#ifdef __cpp_lib_source_location
using Location = std::source_location;
#else
/// The same for Clang before 16.
class Location {
 public:
  static constexpr Location current(const char* file = __builtin_FILE(),
                                    unsigned line = __builtin_LINE(),
                                    unsigned column = __builtin_COLUMN()) {
    Location location;
    location.file_ = file;
    location.line_ = line;
    location.column_ = column;
    return location;
  }
  constexpr const char* file_name() const { return file_; }
  constexpr unsigned line() const { return line_; }
  constexpr unsigned column() const { return column_; }

 private:
  const char* file_ = "";
  unsigned line_ = 0, column_ = 0;
};
#endif

void block_barrier(const Location& where);
void warp_barrier(unsigned mask, const Location& where);

enum class WarpOperation { kSync, kBallot, kShuffle, kShuffleXor, kShuffleUp, kShuffleDown };
struct WarpCall {
  WarpOperation operation;
  unsigned mask;
  uint64_t value;
  unsigned argument;  // of shuffles: source lane, lane mask or distance
  unsigned width;     // of shuffles: lanes that exchange among themselves
  Location where;
};
/// Waits for the lanes of the mask, then gives what the operation gives the calling lane.
uint64_t warp_call(const WarpCall& call);

template <class T>
T shuffle(WarpOperation operation, unsigned mask, T value, unsigned argument, int width,
          const Location& where) {
  static_assert(std::is_arithmetic_v<T>, "what CUDA's shuffles take");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp_call({operation, mask, bits, argument, static_cast<unsigned>(width), where});
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void* dynamic_shared();  // of the running block
/// Calls `body` as every thread of the grid.
void run_grid(dim3 grid, int block, size_t shared_bytes, const std::function<void()>& body);
int num_multiprocessors();

}  // namespace caprl::emulation

// The line of the call, for reports.
#define CAPRL_CALLER \
  const caprl::emulation::Location& caller = caprl::emulation::Location::current()

inline void __syncthreads(CAPRL_CALLER) { caprl::emulation::block_barrier(caller); }
inline void __syncwarp(unsigned mask = 0xffffffffu, CAPRL_CALLER) {
  caprl::emulation::warp_barrier(mask, caller);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, CAPRL_CALLER) {
  using enum caprl::emulation::WarpOperation;
  return static_cast<unsigned>(
      caprl::emulation::warp_call({kBallot, mask, predicate != 0, 0, 32, caller}));
}
inline int __any_sync(unsigned mask, int predicate, CAPRL_CALLER) {
  return __ballot_sync(mask, predicate, caller) != 0;
}
inline int __all_sync(unsigned mask, int predicate, CAPRL_CALLER) {
  return __ballot_sync(mask, predicate, caller) == mask;
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, CAPRL_CALLER) {
  using enum caprl::emulation::WarpOperation;
  return caprl::emulation::shuffle(kShuffle, mask, value, lane, width, caller);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, CAPRL_CALLER) {
  using enum caprl::emulation::WarpOperation;
  return caprl::emulation::shuffle(kShuffleXor, mask, value, lane_mask, width, caller);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32, CAPRL_CALLER) {
  using enum caprl::emulation::WarpOperation;
  return caprl::emulation::shuffle(kShuffleUp, mask, value, distance, width, caller);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32, CAPRL_CALLER) {
  using enum caprl::emulation::WarpOperation;
  return caprl::emulation::shuffle(kShuffleDown, mask, value, distance, width, caller);
}
#undef CAPRL_CALLER

namespace caprl::kernels {

/// Runs kernel<<<grid, block, shared_bytes>>>(arguments…) at once. An empty grid is no work.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, int block, size_t shared_bytes,
            Stream /*stream*/, Arguments&&... arguments) {
  emulation::run_grid(grid, block, shared_bytes, [&] { kernel(Parameters(arguments)...); });
}

using emulation::num_multiprocessors;

/// Ends the program where a GPU would.
template <class T>
T* aligned_16(T* pointer) {
  if (reinterpret_cast<uintptr_t>(pointer) % 16 != 0) {
    std::fprintf(stderr, "misaligned address of 16 bytes: %p\n", static_cast<const void*>(pointer));
    std::abort();
  }
  return pointer;
}

inline uint32_t rounded_pair(float low, float high) {
  return to_bf16(low).bits | static_cast<uint32_t>(to_bf16(high).bits) << 16;
}

}  // namespace caprl::kernels
