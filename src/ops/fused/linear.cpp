#include <ATen/ATen.h>

#include <algorithm>

#include "caprl/core/pulse.h"
#include "ops/fused/kernels.h"
#include "ops/fused/products.h"
#include "ops/keep.h"

namespace caprl::ops::fused {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor as_matrix(const at::Tensor& x) { return x.reshape({-1, x.size(-1)}); }

/// Gradients of the weights go to their sums, autograd does not see them.
struct Linear : torch::autograd::Function<Linear> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const LinearWeights& weights) {
    context->save_for_backward({x});
    keep(*context, weights);
    return at::linear(x, weights.weight.values, weights.bias.values);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    pulse();
    const at::Tensor x = context->get_saved_variables()[0], g = as_matrix(gradients[0]);
    const auto& weights = kept<LinearWeights>(*context);
    add_gradients(g, as_matrix(x), weights);
    return {at::mm(g, weights.weight.values).view(x.sizes()), at::Tensor()};
  }
};

at::Tensor multiply_by(const at::Tensor& x, const LinearWeights& weights) {
  return takes_gradients(x, {&weights, 1})
             ? Linear::apply(x, weights)
             : at::linear(x, weights.weight.values, weights.bias.values);
}

}  // namespace

std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights) {
  if (weights.size() == 1) return {multiply_by(x, weights.front())};
  const bool trained = takes_gradients(x, weights);
  const bool frozen = std::ranges::none_of(weights, [](const LinearWeights& one) {
    return one.weight.values.requires_grad() || one.bias.values.requires_grad();
  });
  if (trained || frozen || !at::GradMode::is_enabled())
    if (const auto all = joined(weights, trained)) {
      std::vector<int64_t> sizes;
      for (const LinearWeights& one : weights) sizes.push_back(one.weight.values.size(0));
      return multiply_by(x, *all).split_with_sizes(sizes, -1);
    }
  std::vector<at::Tensor> results;
  for (const LinearWeights& one : weights) results.push_back(multiply_by(x, one));
  return results;
}

}  // namespace caprl::ops::fused
