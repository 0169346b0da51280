#include "caprl/ops/recompute.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "caprl/core/pulse.h"
#include "ops/keep.h"

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using Work = std::function<Tensors(const Tensors&)>;

struct Recomputed : torch::autograd::Function<Recomputed> {
  /// `leaf` makes the results part of the graph where only what f reads is trained.
  static variable_list forward(AutogradContext* context, const at::Tensor& leaf, const Work& work,
                               at::TensorList inputs) {
    static_cast<void>(leaf);
    context->save_for_backward(inputs.vec());
    keep(*context, work);
    context->set_materialize_grads(false);
    return work(inputs.vec());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    pulse();
    Tensors inputs;
    for (const at::Tensor& saved : context->get_saved_variables())
      inputs.push_back(saved.detach().set_requires_grad(saved.requires_grad()));
    Tensors outputs;
    {
      const at::AutoGradMode with_graph(true);
      outputs = kept<Work>(*context)(inputs);
    }
    Tensors roots, root_gradients;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!gradients[i].defined() || !outputs[i].requires_grad()) continue;
      roots.push_back(outputs[i]);
      root_gradients.push_back(gradients[i]);
    }
    outputs.clear();
    gradients.clear();
    torch::autograd::backward(roots, root_gradients);
    variable_list results(2);
    for (const at::Tensor& input : inputs) results.push_back(input.grad());
    return results;
  }
};

}  // namespace

// NOLINTNEXTLINE(performance-unnecessary-value-param): whoever keeps it copies it
Tensors recomputed(Work f, const Tensors& inputs, bool trained) {
  const bool wanted =
      trained || std::ranges::any_of(inputs, [](const at::Tensor& x) { return x.requires_grad(); });
  if (!at::GradMode::is_enabled() || !wanted) return f(inputs);
  const at::Tensor leaf =
      at::empty({0}, inputs.front().options().requires_grad(false)).set_requires_grad(trained);
  return Recomputed::apply(leaf, f, at::TensorList(inputs));
}

}  // namespace caprl::ops
