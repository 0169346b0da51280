#include "caprl/ops/feed_forward.h"

#include <ATen/ATen.h>

#include <array>

#include "caprl/ops/swiglu.h"
#include "ops/fused/kernels.h"
#include "ops/fused/products.h"
#include "ops/keep.h"

namespace caprl::ops::fused {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// A GPU reads rows of 16 bytes; Qwen2.5-VL's tower, 3,420 wide, is three times slower without
/// padding.
int64_t fast_width(int64_t width, at::ScalarType dtype) {
  const int64_t aligned = 16 / static_cast<int64_t>(at::elementSize(dtype));
  return (width + aligned - 1) / aligned * aligned;
}

/// The layer's matrices, gate and up one under the other, for an inner width of `inner` ≥ F.
struct Matrices {
  explicit Matrices(const FeedForwardWeights& weights)
      : width(weights.gate.weight.values.size(0)),
        inner(fast_width(width, weights.gate.weight.values.scalar_type())),
        in(one_under_the_other(weights.gate.weight.values, weights.up.weight.values)),
        out(weights.down.weight.values.detach()) {
    if (weights.gate.bias.defined())
      in_bias = one_under_the_other(weights.gate.bias.values, weights.up.bias.values);
    if (inner > width) out = at::constant_pad_nd(out, {0, inner - width});
  }

  /// Gate and up of x, side by side.
  at::Tensor both_of(const at::Tensor& x) const { return at::linear(x, in, in_bias); }
  at::Tensor gate_of(const at::Tensor& both) const { return both.narrow(1, 0, inner); }
  at::Tensor up_of(const at::Tensor& both) const { return both.narrow(1, inner, inner); }

  at::Tensor product_of(const at::Tensor& both) const {
    return fused::swiglu(gate_of(both), up_of(both));
  }

  int64_t width, inner;
  at::Tensor in, in_bias, out;  // [2 · inner, H], [2 · inner] or undefined, [H', inner]

 private:
  at::Tensor one_under_the_other(const at::Tensor& gate, const at::Tensor& up) const {
    if (inner == width) {
      const std::array parts{gate, up};
      if (const at::Tensor both = joined(parts); both.defined()) return both;
    }
    auto shape = gate.sizes().vec();
    shape[0] = 2 * inner;
    at::Tensor both = at::zeros(shape, gate.options().requires_grad(false));
    both.narrow(0, 0, width).copy_(gate.detach());
    both.narrow(0, inner, width).copy_(up.detach());
    return both;
  }
};

void add_inner_gradients(const at::Tensor& d_both, const at::Tensor& x, const Matrices& matrices,
                         const FeedForwardWeights& weights) {
  const std::array parts{weights.gate, weights.up};
  if (matrices.inner == matrices.width)
    if (const auto all = joined(parts, /*trained=*/true)) return add_gradients(d_both, x, *all);
  add_gradients(matrices.gate_of(d_both), x, weights.gate);
  add_gradients(matrices.up_of(d_both), x, weights.up);
}

/// Keeps x and gate and up of it; what they multiply to is computed again.
struct FeedForward : torch::autograd::Function<FeedForward> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const FeedForwardWeights& weights) {
    const Matrices matrices(weights);
    const at::Tensor both = matrices.both_of(x);
    context->save_for_backward({x, both});
    keep(*context, weights);
    return at::linear(matrices.product_of(both), matrices.out, weights.down.bias.values);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &both = saved[1], &g = gradients[0];
    const auto& weights = kept<FeedForwardWeights>(*context);
    const Matrices matrices(weights);
    const at::Tensor gate = matrices.gate_of(both), up = matrices.up_of(both);
    add_gradients(g, matrices.product_of(both), weights.down);
    const at::Tensor d_both = fused::swiglu_backward(gate, up, at::mm(g, matrices.out));
    add_inner_gradients(d_both, x, matrices, weights);
    return {at::mm(d_both, matrices.in), at::Tensor()};
  }
};

}  // namespace

at::Tensor feed_forward(const at::Tensor& x, const FeedForwardWeights& weights) {
  const std::array all{weights.gate, weights.up, weights.down};
  if (takes_gradients(x, all)) return FeedForward::apply(x, weights);
  if (at::GradMode::is_enabled()) {
    const auto inner = fused::linear_each(x, std::span(all).first(2));
    return fused::linear_each(ops::swiglu(inner[0], inner[1]), std::span(all).last(1)).front();
  }
  const Matrices matrices(weights);
  return at::linear(matrices.product_of(matrices.both_of(x)), matrices.out,
                    weights.down.bias.values);
}

}  // namespace caprl::ops::fused
