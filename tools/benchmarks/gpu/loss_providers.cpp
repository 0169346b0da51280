#include "loss_providers.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "caprl/ops/policy_loss.h"
#include "ops/fused/device.h"

namespace caprl::bench {
namespace {

constexpr double kKlCoefficient = 0.04;

/// GRPO as trained: strictly on-policy, k3 with a reference, one denominator.
LossResult policy_loss(const LossInputs& inputs, const at::Tensor& head_gradient,
                       const ops::PolicyLossInput& input, at::ScalarType logits_dtype) {
  const int64_t rows = input.targets.size(0);
  at::Tensor hidden = inputs.hidden.narrow(0, 0, rows).detach().requires_grad_();
  const at::Tensor weight = inputs.weight.detach().requires_grad_();
  ops::PolicyLossOptions options;
  options.kl = ops::KlEstimator::kK3;
  options.kl_coef = kKlCoefficient;
  options.clip_ratio_c = 0;
  options.logits_dtype = logits_dtype;
  auto result = ops::policy_loss(hidden, weight, input, options, head_gradient);
  result.loss.backward();
  return {result.logprobs, hidden.grad(), head_gradient};
}

ops::PolicyLossInput loss_input(const LossInputs& inputs, int64_t rows) {
  const auto first = [&](const at::Tensor& t) { return t.narrow(0, 0, rows); };
  ops::PolicyLossInput input;
  input.targets = first(inputs.targets);
  input.advantages = first(inputs.advantages);
  input.weights = at::full({rows}, 1.0 / static_cast<double>(rows), inputs.advantages.options());
  input.reference_logprobs = first(inputs.reference);
  return input;
}

/// The products of policy_loss in its chunks, through its own multiply. Numbers that stand for the
/// gradients of logits are as good as these for the time; zeros would be too fast.
struct Products {
  at::Tensor logits, d_logits, d_hidden;

  Products(const LossInputs& inputs, int64_t rows, int64_t chunk)
      : logits(at::empty({chunk, inputs.weight.size(0)}, inputs.advantages.options())),
        d_logits(at::empty(logits.sizes(), inputs.weight.options()).normal_(0, 1e-4)),
        d_hidden(at::empty({rows, inputs.weight.size(1)}, inputs.weight.options())) {}

  LossResult run(const LossInputs& inputs, at::Tensor head_gradient) const {
    const int64_t rows = d_hidden.size(0), chunk = logits.size(0);
    for (int64_t begin = 0; begin < rows; begin += chunk) {
      const int64_t count = std::min(chunk, rows - begin);
      const at::Tensor hidden = inputs.hidden.narrow(0, begin, count);
      const at::Tensor gradients = d_logits.narrow(0, 0, count);
      at::Tensor out = logits.narrow(0, 0, count), d_part = d_hidden.narrow(0, begin, count);
      ops::fused::multiply(hidden, inputs.weight.t(), out);
      ops::fused::multiply(gradients, inputs.weight, d_part);
      ops::fused::multiply(gradients.t(), hidden, head_gradient, true);
    }
    return {{}, d_hidden, head_gradient};
  }
};

/// The same three products, each in one call of at::mm, everything bf16.
LossResult whole_products(const LossInputs& inputs, int64_t rows) {
  const at::Tensor hidden = inputs.hidden.narrow(0, 0, rows);
  const at::Tensor logits = at::mm(hidden, inputs.weight.t());
  return {{}, at::mm(logits, inputs.weight), at::mm(logits.t(), hidden)};
}

}  // namespace

std::vector<LossProvider> loss_providers(const LossInputs& inputs, at::Tensor head_gradient) {
  const auto loss_with = [=](at::ScalarType logits_dtype) {
    return [=](int64_t rows) -> std::function<LossResult()> {
      const auto input = loss_input(inputs, rows);
      return [=] { return policy_loss(inputs, head_gradient, input, logits_dtype); };
    };
  };
  const auto logprobs = [=](int64_t rows) {
    return [=] {
      return LossResult{ops::token_logprobs(inputs.hidden.narrow(0, 0, rows), inputs.weight,
                                            inputs.targets.narrow(0, 0, rows), 1.0),
                        {},
                        {}};
    };
  };
  const auto products = [=](int64_t rows) {
    const Products products(inputs, rows, ops::PolicyLossOptions{}.chunk_tokens);
    return [=] { return products.run(inputs, head_gradient); };
  };
  const auto products_of_aten = [=](int64_t rows) {
    return [=] { return whole_products(inputs, rows); };
  };
  const auto logits_product_of_aten = [=](int64_t rows) {
    return [=] {
      at::mm(inputs.hidden.narrow(0, 0, rows), inputs.weight.t());
      return LossResult{};
    };
  };
  return {{"caprl_fp32", loss_with(at::kFloat)}, {"caprl_bf16", loss_with(at::kBFloat16)},
          {"caprl_logprobs", logprobs},          {"products_cublaslt", products},
          {"products_aten", products_of_aten},   {"logits_product_aten", logits_product_of_aten}};
}

}  // namespace caprl::bench
