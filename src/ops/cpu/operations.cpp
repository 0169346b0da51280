#include "ops/cpu/operations.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "ops/adamw_run.h"
#include "ops/cpu/kernels.h"
#include "ops/elements.h"
#include "ops/fused/kernels.h"
#include "ops/rows.h"

namespace caprl::ops::cpu {
namespace {

constexpr int64_t kWorthAThread = 32 * 1024;  // elements

template <class Run>
void over(int64_t count, int64_t cost_of_one, Run run) {
  parallel_for(0, count, std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, cost_of_one)),
               run);
}

/// sum += each of the rows, one after another.
void add_rows(const at::Tensor& rows, at::Tensor& sum) {
  const auto* row = rows.const_data_ptr<float>();
  auto* to = sum.mutable_data_ptr<float>();
  const int64_t width = sum.numel();
  for (const float* end = row + rows.numel(); row != end; row += width)
    for (int64_t i = 0; i < width; ++i) to[i] += row[i];
}

at::Tensor turned(const at::Tensor& x, const RotaryTable& table) {
  const at::Tensor rows = with_adjacent_heads(x);
  const at::Tensor cos = table.cos.contiguous(), sin = table.sin.contiguous();
  at::Tensor out = at::empty(x.sizes(), x.options());
  with_element(x.scalar_type(), [&](auto element) {
    using T = decltype(element);
    TurnRows<T, T> problem;
    problem.heads = x.size(1);
    problem.head_dim = x.size(2);
    problem.x = data<T>(rows);
    problem.x_stride = rows.stride(0);
    problem.cos = data<T>(cos);
    problem.sin = data<T>(sin);
    problem.out = data<T>(out);
    over(x.size(0), x.size(1) * x.size(2),
         [&](int64_t first, int64_t last) { kernels().of<T>().turn(problem, first, last); });
  });
  return out;
}

/// The product again to `out`, which may be g; undefined: not wanted.
std::array<at::Tensor, 2> gate_gradients(const at::Tensor& gate, const at::Tensor& up,
                                         const at::Tensor& g, const at::Tensor& out) {
  const at::Tensor gates = gate.contiguous(), ups = up.contiguous();
  std::array<at::Tensor, 2> d{at::empty(gate.sizes(), gate.options()),
                              at::empty(gate.sizes(), gate.options())};
  with_element(gate.scalar_type(), [&](auto element) {
    using T = decltype(element);
    const GateGradients<T> problem{data<T>(gates), data<T>(ups),  data<T>(g),
                                   data<T>(d[0]),  data<T>(d[1]), data<T>(out)};
    over(gate.numel(), 4, [&](int64_t first, int64_t last) {
      kernels().of<T>().gate_backward(problem, first, last);
    });
  });
  return d;
}

}  // namespace

bool has_kernels(const at::Tensor& tensor) {
  return tensor.is_cpu() && !fused::runs_on(tensor) &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kBFloat16);
}

bool runs_without_gradients(const at::Tensor& tensor) {
  return c10::InferenceMode::is_enabled() && has_kernels(tensor);
}

float* thread_scratch(int64_t floats) {
  constexpr int64_t kLine = 64 / sizeof(float);
  thread_local std::vector<float> memory;
  if (std::ssize(memory) < floats + kLine) memory.resize(floats + kLine);
  void* at = memory.data();
  size_t room = memory.size() * sizeof(float);
  return static_cast<float*>(std::align(64, floats * sizeof(float), at, room));
}

AddedNorm add_rms_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                       double eps) {
  const at::Tensor rows = x.contiguous(), deltas = delta.defined() ? delta.contiguous() : delta;
  AddedNorm made;
  made.sum = delta.defined() ? at::empty(x.sizes(), x.options()) : x;
  made.normed = at::empty(x.sizes(), x.options());
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = 1;
  made.scale = at::empty(shape, x.options().dtype(at::kFloat));
  with_element(x.scalar_type(), [&](auto element) {
    using T = decltype(element);
    NormRows<T> problem;
    problem.width = weight.numel();
    problem.x = data<T>(rows);
    problem.delta = data<T>(deltas);
    problem.weight = data<T>(weight);
    problem.sum = delta.defined() ? data<T>(made.sum) : nullptr;
    problem.normed = data<T>(made.normed);
    problem.scale = made.scale.mutable_data_ptr<float>();
    problem.eps = static_cast<float>(eps);
    over(x.numel() / problem.width, 4 * problem.width,
         [&](int64_t first, int64_t last) { kernels().of<T>().norm(problem, first, last); });
  });
  return made;
}

at::Tensor rms_norm_backward(const at::Tensor& g, const at::Tensor& g_sum, const at::Tensor& sum,
                             const at::Tensor& weight, const at::Tensor& scale,
                             at::Tensor& d_weight) {
  constexpr int64_t kBlock = 128;  // rows that are summed one after another
  const int64_t width = weight.numel(), rows = sum.numel() / width;
  const int64_t blocks = (rows + kBlock - 1) / kBlock;
  const at::Tensor gradients = g.contiguous(), sums = sum.contiguous();
  const at::Tensor more = g_sum.defined() ? g_sum.contiguous() : g_sum;
  const at::Tensor scales = scale.contiguous();
  at::Tensor d_sum = at::empty(sum.sizes(), sum.options());
  at::Tensor of_blocks;
  if (d_weight.defined()) of_blocks = at::zeros({blocks, width}, d_weight.options());
  with_element(sum.scalar_type(), [&](auto element) {
    using T = decltype(element);
    NormGradients<T> problem;
    problem.width = width;
    problem.g = data<T>(gradients);
    problem.g_sum = data<T>(more);
    problem.sum = data<T>(sums);
    problem.weight = data<T>(weight);
    problem.scale = data<float>(scales);
    problem.d_sum = data<T>(d_sum);
    over(blocks, kBlock * width, [&](int64_t first, int64_t last) {
      for (int64_t block = first; block < last; ++block)
        kernels().of<T>().norm_backward(
            problem, block * kBlock, std::min(rows, (block + 1) * kBlock),
            of_blocks.defined() ? data<float>(of_blocks) + block * width : nullptr);
    });
  });
  if (d_weight.defined()) add_rows(of_blocks, d_weight);
  return d_sum;
}

void adamw(const AdamWTensors& tensors, const AdamWTerms& terms) {
  const kernels::AdamWRun run = run_of(tensors);
  const kernels::AdamWCoefficients coefficients(terms_of(terms));
  over(run.size, 8,
       [&](int64_t first, int64_t last) { kernels().adamw(run, coefficients, first, last); });
}

void softmax(const SoftmaxRows& rows, int64_t count) {
  over(count, 2 * rows.vocab,
       [&](int64_t first, int64_t last) { kernels().softmax(rows, first, last); });
}

void softmax_backward(const SoftmaxGradients& gradients) {
  over(gradients.rows.vocab, 2 * gradients.num_active,
       [&](int64_t first, int64_t last) { kernels().softmax_backward(gradients, first, last); });
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  const at::Tensor gates = gate.contiguous(), ups = up.contiguous();
  at::Tensor out = at::empty(gate.sizes(), gate.options());
  with_element(gate.scalar_type(), [&](auto element) {
    using T = decltype(element);
    const GateValues<T> problem{data<T>(gates), data<T>(ups), data<T>(out)};
    over(gate.numel(), 4,
         [&](int64_t first, int64_t last) { kernels().of<T>().gate(problem, first, last); });
  });
  return out;
}

std::array<at::Tensor, 2> swiglu_backward(const at::Tensor& gate, const at::Tensor& up,
                                          const at::Tensor& g) {
  return gate_gradients(gate, up, g.contiguous(), {});
}

std::array<at::Tensor, 2> swiglu_backward_again(const at::Tensor& gate, const at::Tensor& up,
                                                at::Tensor& g) {
  g = g.contiguous();
  return gate_gradients(gate, up, g, g);
}

bool rotates(const at::Tensor& x, const RotaryTable& table) {
  return table.cos.scalar_type() == x.scalar_type();
}

std::vector<at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k, const RotaryTable& table) {
  return {turned(q, table), turned(k, table)};
}

}  // namespace caprl::ops::cpu
