// What SwiGLU's kernels have in common.
#pragma once
#include "kernels/math/fast_math.h"
#include "ops/cpu/simd.h"

namespace caprl::ops::cpu::CAPRL_ISA {

/// Elements that are gated at once. Always as many: what a compiler makes of a loop's rest may
/// round otherwise.
inline constexpr int64_t kGatedAtOnce = 16;

/// 1 + e^−x, finite: the divisor of a sigmoid.
static inline float one_plus_exp_of_minus(float x) {
  return 1.0f + kernels::fast_exp(-x < 88.0f ? -x : 88.0f);
}

/// x · sigmoid(x) of kGatedAtOnce elements.
static inline void silu(const float* __restrict x, float* __restrict out) {
  for (int64_t i = 0; i < kGatedAtOnce; ++i) out[i] = x[i] / one_plus_exp_of_minus(x[i]);
}

}  // namespace caprl::ops::cpu::CAPRL_ISA
