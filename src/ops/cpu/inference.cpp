#include "ops/cpu/inference.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>

#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "ops/cpu/kernels.h"
#include "ops/fused/kernels.h"

namespace caprl::ops::cpu {
namespace {

constexpr int64_t kWorthAThread = 32 * 1024;  // elements, or products of 16 numbers

template <class T>
T* data(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<T*>(tensor.mutable_data_ptr()) : nullptr;
}

template <class Run>
void over(int64_t count, int64_t cost_of_one, Run run) {
  parallel_for(0, count, std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, cost_of_one)),
               run);
}

/// All products of the same rows, their outputs one after another, divided among the threads.
template <class Weight, class Out, class Kernel>
void multiply(const at::Tensor& x, std::span<const LinearWeights> weights,
              std::span<at::Tensor> results, Kernel kernel) {
  std::vector<Product<Weight, Out>> products;
  std::vector<int64_t> begins{0};
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!weights[i].weight.is_contiguous()) throw Error("[linear] the weight is not contiguous");
    Product<Weight, Out>& product = products.emplace_back();
    product.rows = x.size(0);
    product.inner = x.size(1);
    product.outputs = weights[i].weight.size(0);
    product.x = x.const_data_ptr<float>();
    product.weight = data<Weight>(weights[i].weight);
    product.bias = data<Weight>(weights[i].bias);
    product.y = data<Out>(results[i]);
    product.y_stride = product.outputs;
    begins.push_back(begins.back() + product.outputs);
  }
  over(begins.back(), x.numel() / 16, [&](int64_t first, int64_t last) {
    for (size_t i = 0; i < products.size(); ++i) {
      const int64_t begin = std::max(first, begins[i]), end = std::min(last, begins[i + 1]);
      if (begin < end) kernel(products[i], begin - begins[i], end - begins[i]);
    }
  });
}

/// Heads of a row side by side, rows a stride apart, as they come out of a projection.
at::Tensor with_adjacent_heads(const at::Tensor& x) {
  return x.stride(2) == 1 && x.stride(1) == x.size(2) ? x : x.contiguous();
}

at::Tensor turned(const at::Tensor& x, const RotaryTable& table) {
  const at::Tensor rows = with_adjacent_heads(x);
  const at::Tensor cos = table.cos.contiguous(), sin = table.sin.contiguous();
  at::Tensor out = at::empty(x.sizes(), x.options());
  const auto run = [&](auto problem, auto kernel) {
    problem.heads = x.size(1);
    problem.head_dim = x.size(2);
    problem.x = data<std::remove_cv_t<std::remove_pointer_t<decltype(problem.x)>>>(rows);
    problem.x_stride = rows.stride(0);
    problem.cos = data<std::remove_cv_t<std::remove_pointer_t<decltype(problem.cos)>>>(cos);
    problem.sin = data<std::remove_cv_t<std::remove_pointer_t<decltype(problem.sin)>>>(sin);
    problem.out = data<std::remove_pointer_t<decltype(problem.out)>>(out);
    over(x.size(0), x.size(1) * x.size(2),
         [&](int64_t first, int64_t last) { kernel(problem, first, last); });
  };
  if (x.scalar_type() == at::kFloat)
    run(TurnRows<float, float>(), kernels().turn_f32);
  else
    run(TurnRows<Bf16, Bf16>(), kernels().turn_bf16);
  return out;
}

}  // namespace

bool runs_on(const at::Tensor& tensor) {
  return c10::InferenceMode::is_enabled() && tensor.is_cpu() && !fused::runs_on(tensor) &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
}

std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights,
                                    at::ScalarType out) {
  std::vector<at::Tensor> results;
  std::vector<int64_t> shape = x.sizes().vec();
  for (const LinearWeights& one : weights) {
    shape.back() = one.weight.size(0);
    results.push_back(at::empty(shape, x.options().dtype(out)));
  }
  if (x.numel() == 0 && results.front().numel() == 0) return results;
  const at::Tensor rows = x.reshape({-1, x.size(-1)}).to(at::kFloat).contiguous();
  if (x.scalar_type() == at::kFloat)
    multiply<float, float>(rows, weights, results, kernels().product_f32);
  else if (out == at::kFloat)
    multiply<Bf16, float>(rows, weights, results, kernels().product_bf16_f32);
  else
    multiply<Bf16, Bf16>(rows, weights, results, kernels().product_bf16);
  return results;
}

std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                                const at::Tensor& weight, double eps) {
  const at::Tensor rows = x.contiguous(), deltas = delta.defined() ? delta.contiguous() : delta;
  at::Tensor sum = delta.defined() ? at::empty(x.sizes(), x.options()) : at::Tensor();
  at::Tensor normed = at::empty(x.sizes(), x.options());
  const auto run = [&](auto problem, auto kernel) {
    using T = std::remove_pointer_t<decltype(problem.normed)>;
    problem.width = weight.numel();
    problem.x = data<T>(rows);
    problem.delta = data<T>(deltas);
    problem.weight = data<T>(weight);
    problem.sum = data<T>(sum);
    problem.normed = data<T>(normed);
    problem.eps = static_cast<float>(eps);
    over(x.numel() / problem.width, problem.width,
         [&](int64_t first, int64_t last) { kernel(problem, first, last); });
  };
  if (x.scalar_type() == at::kFloat)
    run(NormRows<float>(), kernels().norm_f32);
  else
    run(NormRows<Bf16>(), kernels().norm_bf16);
  return {delta.defined() ? sum : x, normed};
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  const at::Tensor gates = gate.contiguous(), ups = up.contiguous();
  at::Tensor out = at::empty(gate.sizes(), gate.options());
  const auto run = [&](auto problem, auto kernel) {
    using T = std::remove_pointer_t<decltype(problem.out)>;
    problem.gate = data<T>(gates);
    problem.up = data<T>(ups);
    problem.out = data<T>(out);
    over(gate.numel(), 4, [&](int64_t first, int64_t last) { kernel(problem, first, last); });
  };
  if (gate.scalar_type() == at::kFloat)
    run(GateValues<float>(), kernels().gate_f32);
  else
    run(GateValues<Bf16>(), kernels().gate_bf16);
  return out;
}

bool rotates(const at::Tensor& x, const RotaryTable& table) {
  return table.cos.scalar_type() == x.scalar_type();
}

std::vector<at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k, const RotaryTable& table) {
  return {turned(q, table), turned(k, table)};
}

}  // namespace caprl::ops::cpu
