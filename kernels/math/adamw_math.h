// AdamW's step of one parameter: plain functions that CPU code and CUDA kernels share. No Torch.
#pragma once
#include <math.h>
#include <stdint.h>

#include "kernels/math/bf16.h"
#include "kernels/math/host_device.h"

namespace caprl::kernels {

/// Pointers to `size` values each; no two runs overlap.
struct AdamWRun {
  int64_t size = 0;
  const float* gradient = nullptr;
  float* master = nullptr;      // in and out: the parameters in single precision
  float* exp_avg = nullptr;     // in and out: first moment m
  float* exp_avg_sq = nullptr;  // in and out: second moment v
  Bf16* weights = nullptr;      // out: the new master, rounded; null: the master is the weight
};

/// Numbers of one step t ≥ 1.
struct AdamWTerms {
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0;
  double weight_decay = 0;    // 0 for runs that are not decayed
  double correction1 = 1;     // 1 − beta1^t
  double correction2 = 1;     // 1 − beta2^t
  double gradient_scale = 1;  // of clipping; the gradient itself stays as it is
};

/// What a step multiplies by, rounded once.
struct AdamWCoefficients {
  float scale, decay, beta1, rest1, beta2, rest2, scale2, eps, step_size;

  explicit AdamWCoefficients(const AdamWTerms& t)
      : scale(static_cast<float>(t.gradient_scale)),
        decay(static_cast<float>(1 - t.lr * t.weight_decay)),
        beta1(static_cast<float>(t.beta1)),
        rest1(static_cast<float>(1 - t.beta1)),
        beta2(static_cast<float>(t.beta2)),
        rest2(static_cast<float>(1 - t.beta2)),
        scale2(static_cast<float>(1 / sqrt(t.correction2))),
        eps(static_cast<float>(t.eps)),
        step_size(static_cast<float>(t.lr / t.correction1)) {}
};

/// torch.optim.AdamW (Loshchilov & Hutter, arXiv 1711.05101), computed in single precision from
/// coefficients made in double. With g = gradient_scale · gradient:
///   master ·= 1 − lr · weight_decay
///   m += (1 − beta1) · (g − m),  v = beta2 · v + (1 − beta2) · g²
///   master −= lr / correction1 · m / (√v / √correction2 + eps)
/// NaN of the gradient reaches everything that is written.
CAPRL_HOST_DEVICE CAPRL_ALWAYS_INLINE void adamw_update(float gradient, float& master, float& m,
                                                        float& v, const AdamWCoefficients& c) {
  const float g = gradient * c.scale, difference = g - m;
  // From the nearer end, as torch's lerp: exactly g for beta1 = 0.
  m = c.rest1 < 0.5f ? m + c.rest1 * difference : g - c.beta1 * difference;
  v = c.beta2 * v + c.rest2 * g * g;
  master = c.decay * master - c.step_size * (m / (sqrtf(v) * c.scale2 + c.eps));
}

}  // namespace caprl::kernels
