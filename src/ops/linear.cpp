#include "caprl/ops/linear.h"

#include <ATen/ATen.h>

#include "ops/cpu/inference.h"
#include "ops/fused/kernels.h"

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
}

at::Tensor multiply(const at::Tensor& x, const LinearWeights& weights) {
  return at::linear(x, weights.weight.values, weights.bias.values);
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const LinearWeights& weights, RowBits bits) {
  if (bits == RowBits::kFixed || fused::runs_on(x)) return linear_each(x, {&weights, 1}).front();
  check(x, weights);
  return multiply(x, weights);
}

std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights) {
  for (const LinearWeights& one : weights) check(x, one);
  if (fused::runs_on(x)) return fused::linear_each(x, weights);
  if (cpu::runs_on(x)) return cpu::linear_each(x, weights, x.scalar_type());
  std::vector<at::Tensor> results;
  for (const LinearWeights& one : weights) results.push_back(multiply(x, one));
  return results;
}

at::Tensor linear_in_float(const at::Tensor& x, const at::Tensor& weight) {
  const LinearWeights weights{weight, {}};
  check(x, weights);
  if (cpu::runs_on(x)) return cpu::linear_each(x, {&weights, 1}, at::kFloat).front();
  if (x.scalar_type() != at::kBFloat16) return at::linear(x, weight);
  // A GPU's products can keep float results; a CPU's round them.
  return x.is_cuda() ? at::mm(x, weight.t(), at::kFloat)
                     : at::linear(x.to(at::kFloat), weight.to(at::kFloat));
}

}  // namespace caprl::ops
