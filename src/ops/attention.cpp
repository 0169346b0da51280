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
  if (mask.defined())  // kernels with masks want as many heads of keys
    return at::scaled_dot_product_attention(q, repeat_heads(k, repeat), repeat_heads(v, repeat),
                                            mask, 0.0, causal);
  if (repeat == 1 || q.is_cuda())
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, causal, {}, repeat > 1);
  return at::scaled_dot_product_attention(q, repeat_heads(k, repeat), repeat_heads(v, repeat), {},
                                          0.0, causal);
}

}  // namespace caprl::ops
