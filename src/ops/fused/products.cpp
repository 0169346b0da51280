#include "ops/fused/products.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "ops/fused/device.h"
#include "ops/fused/kernels.h"
#include "ops/rows.h"

namespace caprl::ops::fused {
namespace {

std::optional<Weight> joined_weight(std::span<const LinearWeights> all, Weight LinearWeights::*part,
                                    bool trained) {
  std::vector<at::Tensor> values, sums;
  std::vector<std::shared_ptr<const GradientSum>> told;
  for (const LinearWeights& one : all) {
    const Weight& weight = one.*part;
    if (!weight.defined()) continue;
    values.push_back(weight.values);
    if (!trained || !weight.has_sum()) continue;
    sums.push_back(weight.gradient->values);
    told.push_back(weight.gradient);
  }
  if (values.empty()) return Weight();
  Weight result(joined(values));
  if (values.size() != all.size() || !result.defined()) return std::nullopt;
  if (sums.empty()) return result;
  GradientSum sum{joined(sums), [told] {
                    for (const auto& one : told)
                      if (one->added) one->added();
                  }};
  if (sums.size() != all.size() || !sum.values.defined()) return std::nullopt;
  result.gradient = std::make_shared<const GradientSum>(std::move(sum));
  return result;
}

void add_to(const Weight& weight, const std::function<void(at::Tensor&)>& add) {
  if (!weight.has_sum()) return;
  at::Tensor sum = weight.gradient->values;
  add(sum);
  if (weight.gradient->added) weight.gradient->added();
}

}  // namespace

at::Tensor joined(std::span<const at::Tensor> parts) {
  const at::Tensor& first = parts.front();
  auto shape = first.sizes().vec();
  shape[0] = 0;
  int64_t values = 0;
  for (const at::Tensor& part : parts) {
    const bool follows = part.storage_offset() == first.storage_offset() + values &&
                         part.is_alias_of(first) && part.is_contiguous() &&
                         part.sizes().slice(1) == first.sizes().slice(1);
    if (!follows) return {};
    shape[0] += part.size(0);
    values += part.numel();
  }
  return first.detach().as_strided(shape, first.strides(), first.storage_offset());
}

std::optional<LinearWeights> joined(std::span<const LinearWeights> weights, bool trained) {
  const auto weight = joined_weight(weights, &LinearWeights::weight, trained);
  const auto bias = joined_weight(weights, &LinearWeights::bias, trained);
  if (!weight || !bias) return std::nullopt;
  return LinearWeights{*weight, *bias};
}

bool takes_gradients(const at::Tensor& x, std::span<const LinearWeights> weights) {
  const auto is_summed = [](const Weight& weight) {
    return !weight.defined() || !weight.values.requires_grad() || weight.has_sum();
  };
  return at::GradMode::is_enabled() && x.requires_grad() &&
         std::all_of(weights.begin(), weights.end(), [&](const LinearWeights& one) {
           return is_summed(one.weight) && is_summed(one.bias);
         });
}

void add_gradients(const at::Tensor& g, const at::Tensor& x, const LinearWeights& weights) {
  const at::Tensor rows = as_rows(g), inputs = as_rows(x);
  add_to(weights.weight, [&](at::Tensor& sum) {
    if (sum.size(0) == rows.size(1) && sum.size(1) == inputs.size(1))
      return multiply(rows.t(), inputs, sum, /*accumulate=*/true);
    // Of the padded width: products are several times slower at others.
    at::Tensor padded = at::empty({rows.size(1), inputs.size(1)}, sum.options());
    multiply(rows.t(), inputs, padded);
    sum.add_(padded.narrow(0, 0, sum.size(0)).narrow(1, 0, sum.size(1)));
  });
  add_to(weights.bias,
         [&](at::Tensor& sum) { add_column_sums(rows.narrow(1, 0, sum.size(0)), sum); });
}

}  // namespace caprl::ops::fused
