// One step of AdamW over flat buffers, and the norm that gradients are clipped by.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace caprl::ops {

/// Equally long flat tensors: float (or all double), and the stored weights where they are of
/// another dtype.
struct AdamWTensors {
  at::Tensor gradient;
  at::Tensor master, exp_avg, exp_avg_sq;  // updated in place
  at::Tensor weights;  // bfloat16: gets the rounded master; undefined: the master is the weight
};

/// Numbers of step t ≥ 1.
struct AdamWTerms {
  double lr, beta1, beta2, eps;
  double weight_decay;        // decoupled; 0: none
  double correction1;         // 1 − beta1^t
  double correction2;         // 1 − beta2^t
  double gradient_scale = 1;  // what clipping multiplies the gradient by
};

/// torch.optim.AdamW (arXiv 1711.05101), with g = gradient_scale · gradient:
///   master ·= 1 − lr · weight_decay;  m += (1 − beta1)(g − m);  v = beta2 · v + (1 − beta2) g²;
///   master −= lr / correction1 · m / (√v / √correction2 + eps)
void adamw(const AdamWTensors& tensors, const AdamWTerms& terms);

/// Numbers worked on at a time where there are temporaries.
inline constexpr int64_t kAdamWBlock = int64_t{1} << 24;

/// The same, with the same bits, where the moments, and a master beside `weights`, are in the
/// host's memory, best a pinned one: blocks of them visit the gradient's device. All are back at
/// the end.
void adamw_offloaded(const AdamWTensors& tensors, const AdamWTerms& terms,
                     int64_t block = kAdamWBlock);

/// Σ x² of a flat float or double tensor, summed in double in a fixed order, as a double scalar on
/// its device. Finite exactly if every value is (and no sum leaves the doubles' range).
at::Tensor squared_norm(const at::Tensor& x);

}  // namespace caprl::ops
