#include "caprl/ops/rotary.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// cos and sin are [N, 1, D/2].
at::Tensor turn(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const at::Tensor wide = x.to(cos.scalar_type());
  const auto halves = wide.chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
      .to(x.scalar_type());
}

struct Rotate : torch::autograd::Function<Rotate> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return turn(x, cos, sin);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    return {turn(gradients[0], saved[0], -saved[1]), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor inverse_frequencies(int64_t dim, double theta, at::TensorOptions options) {
  return at::pow(theta, at::arange(0, dim, 2, options).div_(dim)).reciprocal_();
}

at::Tensor rotate(const at::Tensor& x, const RotaryTable& table) {
  TORCH_CHECK(x.dim() == 3 && table.cos.dim() == 2 && table.cos.sizes() == table.sin.sizes() &&
                  x.size(0) == table.cos.size(0) && x.size(2) == 2 * table.cos.size(1),
              "[rotate] expected x [N, heads, D] and tables [N, D/2], got ", x.sizes(), ", ",
              table.cos.sizes(), " and ", table.sin.sizes());
  const at::Tensor cos = table.cos.unsqueeze(1), sin = table.sin.unsqueeze(1);
  if (!at::GradMode::is_enabled()) return turn(x, cos, sin);
  return Rotate::apply(x, cos, sin);
}

}  // namespace caprl::ops
