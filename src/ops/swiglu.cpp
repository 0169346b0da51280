#include "caprl/ops/swiglu.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/cpu/operations.h"
#include "ops/fused/kernels.h"
#include "ops/gated.h"

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct SwiGlu : torch::autograd::Function<SwiGlu> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate,
                            const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return gated(gate, up);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto [d_gate, d_up] = gated_backward(saved[0], saved[1], gradients[0]);
    return {d_gate, d_up};
  }
};

}  // namespace

at::Tensor gated(const at::Tensor& gate, const at::Tensor& up) {
  if (fused::runs_on(gate)) return fused::swiglu(gate, up);
  if (cpu::has_kernels(gate)) return cpu::swiglu(gate, up);
  return at::silu(gate).mul_(up);
}

std::array<at::Tensor, 2> gated_backward(const at::Tensor& gate, const at::Tensor& up,
                                         const at::Tensor& g) {
  if (fused::runs_on(gate)) {
    const auto both = fused::swiglu_backward(gate, up, g).chunk(2, -1);
    return {both[0], both[1]};
  }
  if (cpu::has_kernels(gate)) return cpu::swiglu_backward(gate, up, g);
  return {at::silu_backward(g * up, gate), g * at::silu(gate)};
}

std::array<at::Tensor, 2> gated_backward_again(const at::Tensor& gate, const at::Tensor& up,
                                               at::Tensor& g) {
  if (cpu::has_kernels(gate)) return cpu::swiglu_backward_again(gate, up, g);
  const auto gradients = gated_backward(gate, up, g);
  g = gated(gate, up);
  return gradients;
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  TORCH_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type(),
              "[swiglu] expected gate and up of one shape and dtype, got ", gate.sizes(), " ",
              gate.scalar_type(), " and ", up.sizes(), " ", up.scalar_type());
  if (!at::GradMode::is_enabled()) return gated(gate, up);
  return SwiGlu::apply(gate, up);
}

}  // namespace caprl::ops
