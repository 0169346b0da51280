// The 16-bit brain float as stored: arithmetic is done in float.
#pragma once
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#endif

#include "kernels/math/host_device.h"

namespace caprl::kernels {

struct Bf16 {
  uint16_t bits;
};

CAPRL_HOST_DEVICE inline float to_float(float x) { return x; }

CAPRL_HOST_DEVICE inline float to_float(Bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/// Rounds to nearest, ties to even; NaN stays NaN.
CAPRL_HOST_DEVICE inline Bf16 to_bf16(float x) {
#ifdef __CUDA_ARCH__
  // Of a pair: the conversion of one number goes through a slower unit.
  const __nv_bfloat162 pair = __floats2bfloat162_rn(x, 0.0f);
  Bf16 result;
  memcpy(&result, &pair, sizeof result);
  return result;
#else
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
#endif
}

template <class T>
CAPRL_HOST_DEVICE inline T from_float(float x);
template <>
CAPRL_HOST_DEVICE inline float from_float<float>(float x) {
  return x;
}
template <>
CAPRL_HOST_DEVICE inline Bf16 from_float<Bf16>(float x) {
  return to_bf16(x);
}

}  // namespace caprl::kernels
