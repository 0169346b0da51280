#include "caprl/ops/linear.h"

#include <ATen/ATen.h>

#include "ops/cpu/inference.h"

namespace caprl::ops {
namespace {

void check(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  TORCH_CHECK(x.dim() >= 1 && weight.dim() == 2 && x.size(-1) == weight.size(1) &&
                  (!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0))),
              "[linear] expected x [..., K], weight [N, K] and bias [N], got ", x.sizes(), ", ",
              weight.sizes(), " and ", bias.defined() ? bias.sizes() : at::IntArrayRef());
  TORCH_CHECK(x.scalar_type() == weight.scalar_type(), "[linear] expected one dtype, got ",
              x.scalar_type(), " and ", weight.scalar_type());
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const LinearWeights weights{weight, bias};
  return linear_each(x, {&weights, 1}).front();
}

std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights) {
  for (const LinearWeights& one : weights) check(x, one.weight, one.bias);
  if (cpu::runs_on(x)) return cpu::linear_each(x, weights, x.scalar_type());
  std::vector<at::Tensor> results;
  for (const LinearWeights& one : weights) results.push_back(at::linear(x, one.weight, one.bias));
  return results;
}

at::Tensor linear_in_float(const at::Tensor& x, const at::Tensor& weight) {
  check(x, weight, {});
  if (cpu::runs_on(x)) {
    const LinearWeights weights{weight, {}};
    return cpu::linear_each(x, {&weights, 1}, at::kFloat).front();
  }
  if (x.scalar_type() != at::kBFloat16) return at::linear(x, weight);
  // A GPU's products can keep float results; a CPU's round them.
  return x.is_cuda() ? at::mm(x, weight.t(), at::kFloat)
                     : at::linear(x.to(at::kFloat), weight.to(at::kFloat));
}

int64_t fast_width(int64_t width, const at::Tensor& x) {
  constexpr int64_t kAligned = 8;
  const bool matters = x.is_cuda() && x.scalar_type() == at::kBFloat16;
  return matters ? (width + kAligned - 1) / kAligned * kAligned : width;
}

at::Tensor pad_with_zeros(const at::Tensor& x, int64_t dim, int64_t width) {
  if (x.size(dim) == width) return x;
  std::vector<int64_t> padding(static_cast<size_t>(2 * (x.dim() - dim)), 0);
  padding.back() = width - x.size(dim);
  return at::constant_pad_nd(x, padding);
}

}  // namespace caprl::ops
