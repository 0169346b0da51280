#include "kernels/adamw.h"

#include <ATen/ATen.h>

#include "kernels/squared_norm.h"
#include "ops/adamw_run.h"
#include "ops/elements.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"

namespace caprl::ops::fused {

void adamw(const AdamWTensors& tensors, const AdamWTerms& terms) {
  kernels::adamw(run_of(tensors), terms_of(terms), stream_of(tensors.master));
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
