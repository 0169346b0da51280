// exp, log and Gumbel noise in single precision, as compilers turn them into vector code: no
// branches, no table (Cephes' polynomials, 1–2 units in the last place). The libm functions of a
// row of 150,000 logits would cost as much as the layers before them. CPU code and CUDA kernels
// share them, so that both draw the same noise but for rounding.
#pragma once
#include <stdint.h>
#include <string.h>

#include "kernels/math/host_device.h"

namespace caprl::kernels {

CAPRL_HOST_DEVICE CAPRL_ALWAYS_INLINE uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
CAPRL_HOST_DEVICE CAPRL_ALWAYS_INLINE float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/// e^x for x ≤ 88; below −87 it stays at e^−87. NaN stays NaN.
CAPRL_HOST_DEVICE CAPRL_ALWAYS_INLINE float fast_exp(float x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 · 2^23: adding it rounds to an integer
  x = x < -87.0f ? -87.0f : x;
  const float shifted = x * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = x - n * kLn2High - n * kLn2Low;
  float y = 1.9875691500e-4f;
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.0f;
  // The integer n sits in the low bits of `shifted`; into the exponent with it.
  const auto bits = static_cast<uint32_t>(bits_of(shifted) + 127u) << 23;
  return y * float_of(bits);
}

/// ln x for positive normal x.
CAPRL_HOST_DEVICE CAPRL_ALWAYS_INLINE float fast_log(float x) {
  constexpr uint32_t kSqrtHalf = 0x3f3504f3;
  const uint32_t bits = bits_of(x);
  // x = m · 2^e with m in [√½, √2).
  const auto exponent = static_cast<int32_t>(bits - kSqrtHalf) >> 23;
  const float m = float_of(bits - (static_cast<uint32_t>(exponent) << 23)) - 1.0f;
  const auto e = static_cast<float>(exponent);
  const float z = m * m;
  float y = 7.0376836292e-2f;
  y = y * m - 1.1514610310e-1f;
  y = y * m + 1.1676998740e-1f;
  y = y * m - 1.2420140846e-1f;
  y = y * m + 1.4249322787e-1f;
  y = y * m - 1.6668057665e-1f;
  y = y * m + 2.0000714765e-1f;
  y = y * m - 2.4999993993e-1f;
  y = y * m + 3.3333331174e-1f;
  y = y * m * z - 2.12194440e-4f * e - 0.5f * z;
  return m + y + 0.693359375f * e;
}

inline constexpr float kMaxGumbel = 22.25f;  // no gumbel() is above it

/// A Gumbel(0, 1) number from 32 random bits: −ln E with E = −ln(1 − u), u uniform in (0, 1). It is
/// large where u is small, and small floats are dense: the upper tail reaches 2^−32.
CAPRL_HOST_DEVICE CAPRL_ALWAYS_INLINE float gumbel(uint32_t word) {
  float u = (static_cast<float>(static_cast<int32_t>(word >> 1)) + 0.5f) * 0x1p-31f;
  u = u > 0x1.fffffep-1f ? 0x1.fffffep-1f : u;
  const float rest = 1.0f - u;
  // ln(1 − u) of the rounded 1 − u, corrected for the rounding (Goldberg 1991, theorem 4).
  const float denominator = rest == 1.0f ? 1.0f : 1.0f - rest;
  const float exponential = rest == 1.0f ? u : -fast_log(rest) * (u / denominator);
  return -fast_log(exponential);
}

}  // namespace caprl::kernels
