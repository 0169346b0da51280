#include "ops/cpu/inference.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>

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

/// Calls one of two kernels' functions with the problem in its type.
template <template <class> class Problem, class Fill, class F32, class B16>
void with_type(at::ScalarType type, Fill fill, F32 f32, B16 b16) {
  if (type == at::kFloat)
    f32(fill(Problem<float>()));
  else
    b16(fill(Problem<Bf16>()));
}

template <class Run>
void over(int64_t count, int64_t cost_of_one, Run run) {
  parallel_for(0, count, std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, cost_of_one)),
                   run);
}

template <class Weight, class Out, class Kernel>
void multiply(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
              at::Tensor& y, Kernel kernel) {
  Product<Weight, Out> product;
  product.rows = x.size(0);
  product.inner = x.size(1);
  product.outputs = weight.size(0);
  product.x = x.const_data_ptr<float>();
  product.weight = data<Weight>(weight);
  product.bias = data<Weight>(bias);
  product.y = data<Out>(y);
  product.y_stride = product.outputs;
  over(product.outputs, product.rows * product.inner / 16,
       [&](int64_t first, int64_t last) { kernel(product, first, last); });
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

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                  at::ScalarType out) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  at::Tensor y = at::empty(shape, x.options().dtype(out));
  if (y.numel() == 0) return y;
  const at::Tensor rows = x.reshape({-1, x.size(-1)}).to(at::kFloat).contiguous();
  const at::Tensor weights = weight.contiguous();
  if (weight.scalar_type() == at::kFloat)
    multiply<float, float>(rows, weights, bias, y, kernels().product_f32);
  else if (out == at::kFloat)
    multiply<Bf16, float>(rows, weights, bias, y, kernels().product_bf16_f32);
  else
    multiply<Bf16, Bf16>(rows, weights, bias, y, kernels().product_bf16);
  return y;
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
