// AdamW's tensors and numbers as kernels take them.
#pragma once
#include "caprl/ops/adamw.h"
#include "kernels/math/adamw_math.h"
#include "ops/elements.h"

namespace caprl::ops {

inline kernels::AdamWRun run_of(const AdamWTensors& tensors) {
  return {tensors.master.numel(),          data<float>(tensors.gradient),
          data<float>(tensors.master),     data<float>(tensors.exp_avg),
          data<float>(tensors.exp_avg_sq), data<kernels::Bf16>(tensors.weights)};
}

inline kernels::AdamWTerms terms_of(const AdamWTerms& terms) {
  return {terms.lr,           terms.beta1,       terms.beta2,       terms.eps,
          terms.weight_decay, terms.correction1, terms.correction2, terms.gradient_scale};
}

}  // namespace caprl::ops
