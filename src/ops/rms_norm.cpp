#include "caprl/ops/rms_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/cpu/operations.h"
#include "ops/fused/kernels.h"
#include "ops/loss_rows.h"

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// sum = x (+ delta); normed; scale = 1 / rms of the sum, [..., 1] in the statistics' dtype.
AddedNorm add_and_normalise(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                            double eps) {
  if (fused::runs_on(x)) return fused::add_rms_norm(x, delta, weight, eps);
  if (cpu::has_kernels(x)) return cpu::add_rms_norm(x, delta, weight, eps);
  const at::Tensor sum = delta.defined() ? x + delta : x;
  const at::Tensor wide = sum.to(statistics_dtype(sum));
  const at::Tensor scale = wide.square().mean(-1, true).add_(eps).rsqrt_();
  return {sum, (wide * scale).to(sum.scalar_type()) * weight, scale};
}

struct NormGradients {
  at::Tensor x, weight;  // undefined where not wanted
};

/// `g` of the normed rows; `g_sum` of the sum itself or undefined.
NormGradients gradients_of(const at::Tensor& g, const at::Tensor& g_sum, const at::Tensor& sum,
                           const at::Tensor& weight, const at::Tensor& scale, bool wants_weight) {
  NormGradients result;
  if (fused::runs_on(sum) || cpu::has_kernels(sum)) {
    const auto backward = fused::runs_on(sum) ? fused::rms_norm_backward : cpu::rms_norm_backward;
    if (wants_weight) result.weight = at::zeros_like(weight, at::kFloat);
    result.x = backward(g, g_sum, sum, weight, scale, result.weight);
    if (wants_weight) result.weight = result.weight.to(weight.scalar_type());
    return result;
  }
  const at::Tensor rows = sum.to(scale.scalar_type()) * scale;
  const at::Tensor through = (g * weight).to(scale.scalar_type());
  const at::Tensor along = (through * rows).mean(-1, true);
  result.x = (through - rows * along).mul_(scale).to(sum.scalar_type());
  if (g_sum.defined()) result.x.add_(g_sum);
  if (wants_weight)
    result.weight = (g.to(scale.scalar_type()) * rows)
                        .reshape({-1, weight.numel()})
                        .sum(0)
                        .to(weight.scalar_type());
  return result;
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    const auto made = add_and_normalise(x, {}, weight, eps);
    context->save_for_backward({x, weight, made.scale});
    return made.normed;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const auto made =
        gradients_of(gradients[0], {}, saved[0], saved[1], saved[2], context->needs_input_grad(1));
    return {made.x, made.weight, at::Tensor()};
  }
};

struct AddRmsNorm : torch::autograd::Function<AddRmsNorm> {
  static variable_list forward(AutogradContext* context, const at::Tensor& residual,
                               const at::Tensor& delta, const at::Tensor& weight, double eps) {
    const auto made = add_and_normalise(residual, delta, weight, eps);
    context->save_for_backward({made.sum, weight, made.scale});
    context->set_materialize_grads(false);  // the last sum of a model has no other reader
    return {made.sum, made.normed};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    if (!gradients[1].defined()) return {gradients[0], gradients[0], at::Tensor(), at::Tensor()};
    const auto made = gradients_of(gradients[1], gradients[0], saved[0], saved[1], saved[2],
                                   context->needs_input_grad(2));
    return {made.x, made.x, made.weight, at::Tensor()};
  }
};

void check(const at::Tensor& x, const at::Tensor& weight) {
  TORCH_CHECK(weight.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight.size(0),
              "[rms_norm] expected x [..., H] and weight [H], got ", x.sizes(), " and ",
              weight.sizes());
  TORCH_CHECK(x.scalar_type() == weight.scalar_type(), "[rms_norm] expected one dtype, got ",
              x.scalar_type(), " and ", weight.scalar_type());
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  check(x, weight);
  if (!at::GradMode::is_enabled()) return add_and_normalise(x, {}, weight, eps).normed;
  return RmsNorm::apply(x, weight, eps);
}

std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& residual, const at::Tensor& delta,
                                                const at::Tensor& weight, double eps) {
  check(residual, weight);
  TORCH_CHECK(residual.sizes() == delta.sizes() && residual.scalar_type() == delta.scalar_type(),
              "[add_rms_norm] expected residual and delta of one shape and dtype, got ",
              residual.sizes(), " ", residual.scalar_type(), " and ", delta.sizes(), " ",
              delta.scalar_type());
  if (!at::GradMode::is_enabled()) {
    const auto made = add_and_normalise(residual, delta, weight, eps);
    return {made.sum, made.normed};
  }
  const variable_list made = AddRmsNorm::apply(residual, delta, weight, eps);
  return {made[0], made[1]};
}

}  // namespace caprl::ops
