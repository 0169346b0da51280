#include "caprl/ops/rms_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::ScalarType statistics_dtype(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

struct Normalised {
  at::Tensor rows;   // x / rms in the statistics' dtype
  at::Tensor scale;  // 1 / rms, [..., 1]
};

Normalised normalise(const at::Tensor& x, double eps) {
  const at::Tensor wide = x.to(statistics_dtype(x));
  const at::Tensor scale = wide.square().mean(-1, true).add_(eps).rsqrt_();
  return {wide * scale, scale};
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    const Normalised normalised = normalise(x, eps);
    context->save_for_backward({x, weight, normalised.scale});
    return normalised.rows.to(x.scalar_type()) * weight;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &scale = saved[2];
    const at::Tensor& g = gradients[0];
    const at::Tensor rows = x.to(scale.scalar_type()) * scale;
    at::Tensor grad_x, grad_weight;
    if (context->needs_input_grad(0)) {
      const at::Tensor through = (g * weight).to(scale.scalar_type());
      const at::Tensor along = (through * rows).mean(-1, true);
      grad_x = (through - rows * along).mul_(scale).to(x.scalar_type());
    }
    if (context->needs_input_grad(1)) {
      grad_weight = (g.to(scale.scalar_type()) * rows)
                        .reshape({-1, weight.numel()})
                        .sum(0)
                        .to(weight.scalar_type());
    }
    return {grad_x, grad_weight, at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  TORCH_CHECK(weight.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight.size(0),
              "[rms_norm] expected x [..., H] and weight [H], got ", x.sizes(), " and ",
              weight.sizes());
  TORCH_CHECK(x.scalar_type() == weight.scalar_type(), "[rms_norm] expected one dtype, got ",
              x.scalar_type(), " and ", weight.scalar_type());
  if (!at::GradMode::is_enabled()) return normalise(x, eps).rows.to(x.scalar_type()) * weight;
  return RmsNorm::apply(x, weight, eps);
}

}  // namespace caprl::ops
