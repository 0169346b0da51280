// Tensor cores on the CPU: what kernels/cuda/device_matrix.h, which has the contracts, is to nvcc.
#pragma once
#include "kernels/emulation/device_runtime.h"

namespace caprl::emulation {

// warp_matrix.cpp
void multiply_add(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                  const Location& where);

}  // namespace caprl::emulation

namespace caprl::kernels {

inline void multiply_add_16x8x16(
    float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
    const emulation::Location& caller = emulation::Location::current()) {
  emulation::multiply_add(c, a, b, caller);
}

inline void load_transposed(uint32_t (&words)[4], const void* row,
                            const emulation::Location& caller = emulation::Location::current()) {
  const int column = static_cast<int>(threadIdx.x % 32) / 4;
  const int first_row = static_cast<int>(threadIdx.x % 4) * 2;
  const auto address = reinterpret_cast<unsigned long long>(row);
  for (int m = 0; m < 4; ++m) {
    words[m] = 0;
    for (int half = 0; half < 2; ++half) {
      const auto from = __shfl_sync(0xffffffffu, address, 8 * m + first_row + half, 32, caller);
      uint16_t value;
      std::memcpy(&value, reinterpret_cast<const uint16_t*>(from) + column, sizeof value);
      words[m] |= static_cast<uint32_t>(value) << 16 * half;
    }
  }
}

inline void load_rows(uint32_t (&words)[4], const void* row,
                      const emulation::Location& caller = emulation::Location::current()) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const auto address = reinterpret_cast<unsigned long long>(row);
  for (int m = 0; m < 4; ++m) {
    const auto from = __shfl_sync(0xffffffffu, address, 8 * m + lane / 4, 32, caller);
    std::memcpy(&words[m], reinterpret_cast<const uint16_t*>(from) + lane % 4 * 2, sizeof words[m]);
  }
}

// At once: a wait that is missing is not found.
inline void copy_async(void* shared, const void* global, bool real = true) {
  if (real)
    std::memcpy(shared, global, 16);
  else
    std::memset(shared, 0, 16);
}
inline void end_async_copies() {}
template <int kGroups>
void wait_async_copies() {}

}  // namespace caprl::kernels
