#include "kernels/adamw.h"

#include <ATen/ATen.h>

#include "kernels/squared_norm.h"
#include "ops/elements.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"

namespace caprl::ops::fused {

void adamw(const AdamWTensors& tensors, const AdamWTerms& terms) {
  kernels::AdamWRun run;
  run.size = tensors.master.numel();
  run.gradient = data<float>(tensors.gradient);
  run.master = data<float>(tensors.master);
  run.exp_avg = data<float>(tensors.exp_avg);
  run.exp_avg_sq = data<float>(tensors.exp_avg_sq);
  run.weights = data<kernels::Bf16>(tensors.weights);
  kernels::adamw(run,
                 {terms.lr, terms.beta1, terms.beta2, terms.eps, terms.weight_decay,
                  terms.correction1, terms.correction2, terms.gradient_scale},
                 stream_of(tensors.master));
}

at::Tensor squared_norm(const at::Tensor& x) {
  const auto options = x.options().dtype(at::kDouble).requires_grad(false);
  const at::Tensor workspace = at::empty({kernels::squared_norm_workspace(x.numel())}, options);
  at::Tensor result = at::empty({}, options);
  kernels::squared_norm(data<float>(x), x.numel(), data<double>(workspace), data<double>(result),
                        stream_of(x));
  return result;
}

}  // namespace caprl::ops::fused
