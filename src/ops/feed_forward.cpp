#include "caprl/ops/feed_forward.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <optional>

#include "caprl/core/pulse.h"
#include "caprl/ops/recompute.h"
#include "caprl/ops/swiglu.h"
#include "ops/cpu/operations.h"
#include "ops/fused/kernels.h"
#include "ops/gated.h"
#include "ops/library_linear.h"

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What autograd would make of the three products, but that silu(gate) · up is computed again for
/// the backward pass: a third of what it would keep.
struct FeedForward : torch::autograd::Function<FeedForward> {
  using Bias = std::optional<at::Tensor>;

  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& gate,
                            const at::Tensor& up, const at::Tensor& down, const Bias& gate_bias,
                            const Bias& up_bias, const Bias& down_bias) {
    const at::Tensor gates = library_linear(x, gate, gate_bias),
                     ups = library_linear(x, up, up_bias);
    context->save_for_backward({x, gates, ups, gate, up, down});
    context->saved_data["with_bias"] = gate_bias.has_value();
    return library_linear(gated(gates, ups), down, down_bias);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    pulse();
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &gates = saved[1], &ups = saved[2], &g = gradients[0];
    const auto of_weight = [&](size_t input, const at::Tensor& d_out, const auto& in) {
      return context->needs_input_grad(input) ? d_out.t().mm(in()) : at::Tensor();
    };
    const bool with_bias = context->saved_data["with_bias"].toBool();
    const auto of_bias = [&](const at::Tensor& d_out) {
      return with_bias ? d_out.sum(0) : at::Tensor();
    };
    at::Tensor inner = library_linear(g, saved[5].t());  // the gradient of what it then is
    const auto [d_gates, d_ups] = context->needs_input_grad(3)
                                      ? gated_backward_again(gates, ups, inner)
                                      : gated_backward(gates, ups, inner);
    const at::Tensor d_down = of_weight(3, g, [&] { return inner; });
    inner.reset();
    at::Tensor d_x;
    if (context->needs_input_grad(0))
      d_x = library_linear(d_ups, saved[4].t()).add_(library_linear(d_gates, saved[3].t()));
    const auto input = [&] { return x; };
    return {d_x,
            of_weight(1, d_gates, input),
            of_weight(2, d_ups, input),
            d_down,
            of_bias(d_gates),
            of_bias(d_ups),
            of_bias(g)};
  }
};

}  // namespace

at::Tensor feed_forward(const at::Tensor& x, const FeedForwardWeights& weights, RowBits bits) {
  const LinearWeights &gate = weights.gate, &up = weights.up, &down = weights.down;
  TORCH_CHECK(x.dim() == 2 && gate.weight.values.sizes() == up.weight.values.sizes() &&
                  gate.bias.defined() == up.bias.defined() &&
                  gate.bias.defined() == down.bias.defined(),
              "[feed_forward] expected x [N, H], gate and up of one shape, biases for all or none, "
              "got ",
              x.sizes(), ", ", gate.weight.values.sizes(), " and ", up.weight.values.sizes());
  const bool adapted = gate.is_adapted() || up.is_adapted() || down.is_adapted();
  if (fused::runs_on(x) && !adapted) return fused::feed_forward(x, weights);
  if (bits == RowBits::kFixed && cpu::feeds(x, weights)) return cpu::feed_forward(x, weights);
  const auto bias = [](const LinearWeights& one) {
    return one.bias.defined() ? std::optional(one.bias.values) : std::nullopt;
  };
  if (at::GradMode::is_enabled() && !adapted)
    return FeedForward::apply(x, gate.weight.values, up.weight.values, down.weight.values,
                              bias(gate), bias(up), bias(down));
  const std::array<LinearWeights, 2> inner{gate, up};
  const auto both = linear_each(x, inner, bits);
  return linear(swiglu(both[0], both[1]), down, bits);
}

at::Tensor feed_forward_again(const at::Tensor& x, const FeedForwardWeights& weights,
                              RowBits bits) {
  const auto is_trained = [](const LinearWeights& one) {
    const at::Tensor& a = one.adapter.a.values;
    return one.weight.values.requires_grad() || (a.defined() && a.requires_grad());
  };
  return recomputed(
      [weights, bits](const Tensors& inputs) -> Tensors {
        return {feed_forward(inputs[0], weights, bits)};
      },
      {x}, is_trained(weights.gate) || is_trained(weights.up) || is_trained(weights.down))[0];
}

}  // namespace caprl::ops
