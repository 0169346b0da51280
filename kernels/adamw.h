// AdamW over a flat run of parameters.
#pragma once
#include <cstdint>

#include "kernels/math/bf16.h"
#include "kernels/stream.h"

namespace caprl::kernels {

/// Device pointers to `size` values each; no two runs overlap. Any alignment that their types
/// allow; wide access where the floats begin at multiples of 16 bytes and the weights at multiples
/// of 8.
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

/// torch.optim.AdamW (Loshchilov & Hutter, arXiv 1711.05101), computed in single precision from
/// coefficients made in double. With g = gradient_scale · gradient:
///   master ·= 1 − lr · weight_decay
///   m += (1 − beta1) · (g − m),  v = beta2 · v + (1 − beta2) · g²
///   master −= lr / correction1 · m / (√v / √correction2 + eps)
/// NaN of the gradient reaches everything that is written.
void adamw(const AdamWRun& run, const AdamWTerms& terms, Stream stream);

}  // namespace caprl::kernels
