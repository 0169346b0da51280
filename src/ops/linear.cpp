#include "caprl/ops/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/cpu/operations.h"
#include "ops/fused/kernels.h"
#include "ops/library_linear.h"

namespace caprl::ops {
namespace {

void check(const at::Tensor& x, const LinearWeights& weights) {
  const at::Tensor &weight = weights.weight.values, &bias = weights.bias.values;
  TORCH_CHECK(x.dim() >= 1 && weight.dim() == 2 && x.size(-1) == weight.size(1) &&
                  (!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0))),
              "[linear] expected x [..., K], weight [N, K] and bias [N], got ", x.sizes(), ", ",
              weight.sizes(), " and ", bias.defined() ? bias.sizes() : at::IntArrayRef());
  TORCH_CHECK(x.scalar_type() == weight.scalar_type(), "[linear] expected one dtype, got ",
              x.scalar_type(), " and ", weight.scalar_type());
  if (!weights.adapter.defined()) return;
  const at::Tensor &a = weights.adapter.a.values, &b = weights.adapter.b.values;
  TORCH_CHECK(a.dim() == 2 && b.dim() == 2 && a.size(0) == b.size(1) &&
                  a.size(1) == weight.size(1) && b.size(0) == weight.size(0) &&
                  a.scalar_type() == x.scalar_type() && b.scalar_type() == x.scalar_type(),
              "[linear] expected an adapter [r, K] and [N, r] of a weight ", weight.sizes(), " of ",
              x.scalar_type(), ", got ", a.sizes(), " of ", a.scalar_type(), " and ", b.sizes(),
              " of ", b.scalar_type());
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// As autograd has it of at::linear, by library_linear().
struct Linear : torch::autograd::Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    context->save_for_backward({weight.requires_grad() ? x : at::Tensor(), weight});
    context->saved_data["with_bias"] = bias.has_value();
    return library_linear(x, weight, bias);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &g = gradients[0];
    const bool with_bias = context->saved_data["with_bias"].toBool();
    const auto wanted = [&](size_t input) { return context->needs_input_grad(input); };
    return {wanted(0) ? library_linear(g, weight.t()) : at::Tensor(),
            wanted(1) ? g.t().mm(x) : at::Tensor(),
            with_bias && wanted(2) ? g.sum(0) : at::Tensor()};
  }
};

/// Products with the matrices themselves, whatever adapts them.
std::vector<at::Tensor> multiply_each(const at::Tensor& x, std::span<const LinearWeights> weights,
                                      RowBits bits) {
  if (fused::runs_on(x)) return fused::linear_each(x, weights);
  if (bits == RowBits::kFixed && cpu::runs_without_gradients(x))
    return cpu::linear_each(x, weights, x.scalar_type());
  std::vector<at::Tensor> results;
  for (const LinearWeights& one : weights) {
    const at::Tensor &weight = one.weight.values, &bias = one.bias.values;
    if (x.dim() == 2 && at::GradMode::is_enabled())
      results.push_back(
          Linear::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt));
    else
      results.push_back(at::linear(x, weight, bias));
  }
  return results;
}

/// The scale is applied to the r numbers in between: N is larger.
void add_adapters(const at::Tensor& x, std::span<const LinearWeights> weights, RowBits bits,
                  std::span<at::Tensor> results) {
  std::vector<LinearWeights> first;
  for (const LinearWeights& one : weights)
    if (one.is_adapted()) first.push_back({one.adapter.a, {}});
  if (first.empty()) return;
  const auto inner = multiply_each(x, first, bits);
  auto next = inner.begin();
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!weights[i].is_adapted()) continue;
    const LinearWeights second{weights[i].adapter.b, {}};
    const at::Tensor change =
        multiply_each(*next++ * weights[i].adapter.scale, {&second, 1}, bits).front();
    results[i] = at::GradMode::is_enabled() ? results[i] + change : results[i].add_(change);
  }
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const LinearWeights& weights, RowBits bits) {
  return linear_each(x, {&weights, 1}, bits).front();
}

std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights,
                                    RowBits bits) {
  for (const LinearWeights& one : weights) check(x, one);
  std::vector<at::Tensor> results = multiply_each(x, weights, bits);
  add_adapters(x, weights, bits, results);
  return results;
}

at::Tensor linear_in_float(const at::Tensor& x, const at::Tensor& weight) {
  const LinearWeights weights{weight, {}};
  check(x, weights);
  if (cpu::runs_without_gradients(x)) return cpu::linear_each(x, {&weights, 1}, at::kFloat).front();
  if (x.scalar_type() != at::kBFloat16) return at::linear(x, weight);
  // A GPU's products can keep float results; a CPU's round them.
  return x.is_cuda() ? at::mm(x, weight.t(), at::kFloat)
                     : at::linear(x.to(at::kFloat), weight.to(at::kFloat));
}

}  // namespace caprl::ops
