#include "caprl/ops/attention.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>

namespace caprl::ops {
namespace {

/// cuDNN makes a plan for every new length, 0.3 to 0.6 ms of the host's time, and captions and
/// images have many.
bool without_cudnn() {
  at::globalContext().setSDPUseCuDNN(false);
  return true;
}

at::Tensor repeat_heads(const at::Tensor& x, int64_t repeat) {
  if (repeat == 1) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), repeat, x.size(2), x.size(3)})
      .reshape({x.size(0), x.size(1) * repeat, x.size(2), x.size(3)});
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& mask, bool causal) {
  [[maybe_unused]] static const bool once = without_cudnn();
  const int64_t repeat = q.size(1) / k.size(1);
  // A GPU's kernels without a mask know heads that share keys.
  const bool shares = q.is_cuda() && !mask.defined() && repeat > 1;
  const int64_t copies = shares ? 1 : repeat;
  return at::scaled_dot_product_attention(q, repeat_heads(k, copies), repeat_heads(v, copies),
                                          mask.defined() ? std::optional(mask) : std::nullopt, 0.0,
                                          causal, {}, shares);
}

}  // namespace caprl::ops
