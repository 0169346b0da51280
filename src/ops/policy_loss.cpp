#include "caprl/ops/policy_loss.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "caprl/core/error.h"
#include "caprl/ops/upload.h"
#include "ops/fused/kernels.h"
#include "ops/loss_rows.h"
#include "ops/policy_loss_checks.h"

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Undefined where autograd gets none.
struct Gradients {
  at::Tensor hidden, weight;
  bool weight_is_added;  // the weight's gradient is where it belongs already
};

/// Hands gradients that are known already to autograd, once and without keeping a reference, so
/// that it may add other gradients of a tied head in place.
struct Precomputed : torch::autograd::Function<Precomputed> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& weight, const at::Tensor& loss,
                            const Gradients* gradients) {
    context->saved_data["hidden"] = gradients->hidden;
    context->saved_data["weight"] = gradients->weight;
    context->saved_data["weight_is_added"] = gradients->weight_is_added;
    return loss.clone();
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const bool weight_is_added = context->saved_data["weight_is_added"].toBool();
    const at::Tensor factor = factor_of(upstream[0], weight_is_added);
    const auto hand_on = [&](const char* name) {
      const auto found = context->saved_data.find(name);
      if (found == context->saved_data.end())
        throw Error("[policy_loss] backward has run already; it can run once");
      at::Tensor gradient = std::move(found->second).toTensor();
      context->saved_data.erase(found);
      if (gradient.defined() && factor.defined()) gradient.mul_(factor);
      return gradient;
    };
    at::Tensor hidden = hand_on("hidden"), weight = hand_on("weight");
    return {std::move(hidden), std::move(weight), {}, {}};
  }

 private:
  /// What gradients are multiplied by; undefined: 1. A GPU is not waited for, so a factor that the
  /// added gradient lacks shows there as NaN.
  static at::Tensor factor_of(const at::Tensor& upstream, bool weight_is_added) {
    if (upstream.is_cuda())
      return weight_is_added ? at::where(upstream == 1, upstream, std::nan("")) : upstream;
    const double factor = upstream.item<double>();
    if (factor != 1.0 && weight_is_added)
      throw Error("[policy_loss] expected an upstream gradient of 1 with a head_gradient, got {}",
                  factor);
    return factor == 1.0 ? at::Tensor() : upstream;
  }
};

at::TensorOptions statistics(const at::Tensor& hidden) {
  return hidden.options().dtype(statistics_dtype(hidden)).requires_grad(false);
}

LossOutput allocate(const at::Tensor& hidden, const at::Tensor& weight,
                    const at::Tensor& head_gradient) {
  const auto options = statistics(hidden);
  const auto row = [&] { return at::empty({hidden.size(0)}, options); };
  LossOutput output{row(), row(), row(),
                    row(), row(), at::empty({hidden.size(0)}, options.dtype(at::kBool)),
                    {},    {}};
  if (!at::GradMode::is_enabled()) return output;
  if (hidden.requires_grad()) output.d_hidden = at::zeros_like(hidden.detach());
  if (weight.requires_grad())
    output.d_weight =
        head_gradient.defined() ? head_gradient.detach() : at::zeros(weight.sizes(), options);
  return output;
}

}  // namespace

at::ScalarType statistics_dtype(const at::Tensor& hidden) {
  return hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

PolicyLossResult policy_loss(const at::Tensor& hidden, const at::Tensor& head_weight,
                             const PolicyLossInput& input, const PolicyLossOptions& options,
                             const at::Tensor& head_gradient) {
  check_rows(hidden, head_weight, input.targets, options.temperature, options.chunk_tokens);
  check_terms(input, options);
  check_head_gradient(head_weight, head_gradient);
  LossOutput output = allocate(hidden, head_weight, head_gradient);
  {
    at::NoGradGuard no_grad;
    const LossProblem problem{hidden.detach(), head_weight.detach(), input, options};
    if (fused::runs_on(hidden))
      fused::policy_loss(problem, output);
    else
      composed_policy_loss(problem, output);
  }
  Gradients gradients{output.d_hidden, {}, head_gradient.defined()};
  if (output.d_weight.defined() && !head_gradient.defined())
    gradients.weight = output.d_weight.to(head_weight.scalar_type());
  PolicyLossResult result;
  result.loss = Precomputed::apply(hidden, head_weight, output.loss.sum(), &gradients);
  result.logprobs = output.logprobs;
  result.entropy = output.entropy;
  result.ratio = output.ratio;
  result.clipped = output.clipped;
  result.kl = output.kl;
  return result;
}

at::Tensor cross_entropy_loss(const at::Tensor& hidden, const at::Tensor& head_weight,
                              const at::Tensor& targets, const at::Tensor& weights,
                              int64_t chunk_tokens, at::Tensor* logprobs,
                              const at::Tensor& head_gradient) {
  // The gradient of −log p is that of a strictly on-policy token with advantage 1; only the value
  // of the loss differs.
  PolicyLossOptions options;
  options.chunk_tokens = chunk_tokens;
  const auto result =
      policy_loss(hidden, head_weight, {targets, at::ones_like(weights), weights, {}, {}}, options,
                  head_gradient);
  if (logprobs) *logprobs = result.logprobs;
  const at::Tensor here = upload(weights, hidden.device());
  const at::Tensor value = at::where(here != 0, here * result.logprobs, 0.0).sum().neg();
  return result.loss + (value - result.loss).detach();
}

at::Tensor token_logprobs(const at::Tensor& hidden, const at::Tensor& head_weight,
                          const at::Tensor& targets, double temperature, int64_t chunk_tokens,
                          at::Tensor* entropy) {
  check_rows(hidden, head_weight, targets, temperature, chunk_tokens);
  at::NoGradGuard no_grad;
  const LogprobProblem problem{hidden.detach(), head_weight.detach(), targets, temperature,
                               chunk_tokens};
  at::Tensor logprobs = at::empty({hidden.size(0)}, statistics(hidden)), entropies;
  if (entropy) entropies = at::empty_like(logprobs);
  if (fused::runs_on(hidden))
    fused::logprobs(problem, logprobs, entropies);
  else
    composed_logprobs(problem, logprobs, entropies);
  if (entropy) *entropy = entropies;
  return logprobs;
}

}  // namespace caprl::ops
