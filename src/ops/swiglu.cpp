#include "caprl/ops/swiglu.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/cpu/inference.h"
#include "ops/fused/kernels.h"

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up) {
  return fused::runs_on(gate) ? fused::swiglu(gate, up) : at::silu(gate).mul_(up);
}

struct SwiGlu : torch::autograd::Function<SwiGlu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate,
                            const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return gated(gate, up);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1], &g = gradients[0];
    if (fused::runs_on(gate)) return fused::swiglu_backward(gate, up, g).chunk(2, -1);
    return {at::silu_backward(g * up, gate), g * at::silu(gate)};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  TORCH_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type(),
              "[swiglu] expected gate and up of one shape and dtype, got ", gate.sizes(), " ",
              gate.scalar_type(), " and ", up.sizes(), " ", up.scalar_type());
  if (cpu::runs_on(gate)) return cpu::swiglu(gate, up);
  if (!at::GradMode::is_enabled()) return gated(gate, up);
  return SwiGlu::apply(gate, up);
}

}  // namespace caprl::ops
