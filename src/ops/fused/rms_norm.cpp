#include "kernels/rms_norm.h"

#include "ops/elements.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"
#include "ops/rows.h"

namespace caprl::ops::fused {

AddedNorm add_rms_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                       double eps) {
  AddedNorm made;
  made.normed = at::empty(x.sizes(), x.options());
  made.sum = delta.defined() ? at::empty(x.sizes(), x.options()) : x;
  auto scales = x.sizes().vec();
  scales.back() = 1;
  made.scale = at::empty(scales, x.options().dtype(at::kFloat));
  const at::Tensor xs = as_rows(x), deltas = as_rows(delta), weights = weight.contiguous();
  with_element(x.scalar_type(), [&](auto element) {
    using T = decltype(element);
    kernels::RmsNorm<T> work;
    work.x = data<T>(xs);
    work.delta = data<T>(deltas);
    work.weight = data<T>(weights);
    work.sum = delta.defined() ? data<T>(made.sum) : nullptr;
    work.y = data<T>(made.normed);
    work.scale = data<float>(made.scale);
    work.x_stride = stride_of(xs);
    work.delta_stride = stride_of(deltas);
    work.sum_stride = work.y_stride = work.width = x.size(-1);
    work.num_rows = xs.size(0);
    work.eps = static_cast<float>(eps);
    kernels::rms_norm(work, stream_of(x));
  });
  return made;
}

at::Tensor rms_norm_backward(const at::Tensor& g, const at::Tensor& g_sum, const at::Tensor& sum,
                             const at::Tensor& weight, const at::Tensor& scale,
                             at::Tensor& d_weight) {
  at::Tensor dx = at::empty(sum.sizes(), sum.options());
  const at::Tensor gs = as_rows(g), g_sums = as_rows(g_sum), sums = as_rows(sum);
  const at::Tensor weights = weight.contiguous();
  with_element(sum.scalar_type(), [&](auto element) {
    using T = decltype(element);
    at::Tensor workspace;
    if (d_weight.defined())
      workspace =
          at::empty({kernels::rms_norm_workspace<T>(sums.size(0), sums.size(1))}, scale.options());
    kernels::RmsNormBackward<T> work;
    work.dy = data<T>(gs);
    work.x = data<T>(sums);
    work.weight = data<T>(weights);
    work.scale = data<float>(scale);
    work.dsum = data<T>(g_sums);
    work.dx = data<T>(dx);
    work.dweight = data<float>(d_weight);
    work.workspace = data<float>(workspace);
    work.dy_stride = stride_of(gs);
    work.x_stride = stride_of(sums);
    work.dsum_stride = stride_of(g_sums);
    work.dx_stride = work.width = sums.size(1);
    work.num_rows = sums.size(0);
    kernels::rms_norm_backward(work, stream_of(sum));
  });
  return dx;
}

}  // namespace caprl::ops::fused
