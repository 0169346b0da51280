#include "caprl/ops/attention.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

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

/// A CPU's flash attention with keys and values for `repeat` heads of queries each. They are
/// repeated again for the backward pass: autograd would keep them.
struct SharedHeads : torch::autograd::Function<SharedHeads> {
  using Mask = std::optional<at::Tensor>;

  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v, const Mask& mask, bool causal, int64_t repeat) {
    const auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(
        q, repeat_heads(k, repeat), repeat_heads(v, repeat), 0.0, causal, mask);
    context->save_for_backward({q, k, v, out, lse, mask.value_or(at::Tensor())});
    context->saved_data["causal"] = causal;
    context->saved_data["repeat"] = repeat;
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], &mask = saved[5];
    const int64_t repeat = context->saved_data["repeat"].toInt();
    const auto [d_q, d_k, d_v] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        gradients[0], q, repeat_heads(k, repeat), repeat_heads(v, repeat), saved[3], saved[4], 0.0,
        context->saved_data["causal"].toBool(), mask.defined() ? Mask(mask) : std::nullopt);
    const auto together = [&](const at::Tensor& d, const at::Tensor& x) {
      return d.reshape({x.size(0), x.size(1), repeat, x.size(2), x.size(3)}).sum(2);
    };
    return {d_q, together(d_k, k), together(d_v, v), {}, {}, {}};
  }
};

bool keeps_repeated_heads(const at::Tensor& q, int64_t repeat) {
  return q.is_cpu() && at::GradMode::is_enabled() && repeat > 1 && q.numel() > 0 &&
         (q.scalar_type() == at::kFloat || q.scalar_type() == at::kBFloat16);
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& mask, bool causal) {
  [[maybe_unused]] static const bool once = without_cudnn();
  const int64_t repeat = q.size(1) / k.size(1);
  const auto added = mask.defined() ? std::optional(mask) : std::nullopt;
  if (keeps_repeated_heads(q, repeat)) return SharedHeads::apply(q, k, v, added, causal, repeat);
  // A GPU's kernels without a mask know heads that share keys.
  const bool shares = q.is_cuda() && !mask.defined() && repeat > 1;
  const int64_t copies = shares ? 1 : repeat;
  return at::scaled_dot_product_attention(q, repeat_heads(k, copies), repeat_heads(v, copies),
                                          added, 0.0, causal, {}, shares);
}

}  // namespace caprl::ops
