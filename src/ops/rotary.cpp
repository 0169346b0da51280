#include "caprl/ops/rotary.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "caprl/core/parallel.h"
#include "ops/cpu/operations.h"
#include "ops/fused/kernels.h"

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor turn(const at::Tensor& x, const RotaryTable& table) {
  const at::Tensor cos = table.cos.unsqueeze(1), sin = table.sin.unsqueeze(1);
  const at::Tensor wide = x.to(cos.scalar_type());
  const auto halves = wide.chunk(2, -1);
  return at::cat({halves[0] * cos - halves[1] * sin, halves[1] * cos + halves[0] * sin}, -1)
      .to(x.scalar_type());
}

variable_list turn_both(const at::Tensor& q, const at::Tensor& k, const RotaryTable& table) {
  if (fused::runs_on(q)) return fused::rotate(q, k, table);
  if (cpu::has_kernels(q) && cpu::rotates(q, table)) return cpu::rotate(q, k, table);
  return {turn(q, table), turn(k, table)};
}

struct Rotate : torch::autograd::Function<Rotate> {
  static variable_list forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
                               const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({cos, sin});
    return turn_both(q, k, {cos, sin});
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const RotaryTable back{saved[0], -saved[1]};
    const variable_list turned = turn_both(gradients[0], gradients[1], back);
    return {turned[0], turned[1], at::Tensor(), at::Tensor()};
  }
};

void check(const at::Tensor& x, const RotaryTable& table) {
  TORCH_CHECK(x.dim() == 3 && table.cos.dim() == 2 && table.cos.sizes() == table.sin.sizes() &&
                  x.size(0) == table.cos.size(0) && x.size(2) == 2 * table.cos.size(1),
              "[rotate] expected x [N, heads, D] and tables [N, D/2], got ", x.sizes(), ", ",
              table.cos.sizes(), " and ", table.sin.sizes());
}

/// A table whose rows `write(row, cosines, sines)` makes.
template <class Write>
RotaryTable table_of_rows(int64_t rows, const at::Tensor& frequencies, const Write& write) {
  const int64_t width = frequencies.size(0);
  const RotaryTable table{at::empty({rows, width}, frequencies.options()),
                          at::empty({rows, width}, frequencies.options())};
  auto *cosines = table.cos.mutable_data_ptr<float>(), *sines = table.sin.mutable_data_ptr<float>();
  parallel_for(0, rows, std::max<int64_t>(1, 1024 / width), [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      write(row, cosines + row * width, sines + row * width);
  });
  return table;
}

/// ATen takes another routine for what does not fill a vector. Sequences of a batch share most of
/// their places: the angles of each are computed once.
RotaryTable table_on_cpu(const at::Tensor& positions_given, const at::Tensor& frequencies,
                         const at::Tensor& axis) {
  const at::Tensor positions = positions_given.contiguous();
  const int64_t tokens = positions.size(1), width = frequencies.size(0);
  const auto* position = positions.const_data_ptr<int64_t>();
  const auto* frequency = frequencies.const_data_ptr<float>();
  const int64_t* row_of = axis.defined() ? axis.const_data_ptr<int64_t>() : nullptr;
  const auto place_of = [=](int64_t token, int64_t i) {
    return position[(row_of ? row_of[i] : 0) * tokens + token];
  };
  const auto turn_by = [=](int64_t place, int64_t i, float* cosines, float* sines) {
    sincosf(static_cast<float>(place) * frequency[i], sines + i, cosines + i);
  };
  const auto [lowest, highest] = std::minmax_element(position, position + positions.numel());
  if (tokens == 0 || *highest - *lowest >= tokens)
    return table_of_rows(tokens, frequencies, [&](int64_t token, float* cosines, float* sines) {
      for (int64_t i = 0; i < width; ++i) turn_by(place_of(token, i), i, cosines, sines);
    });
  const int64_t first = *lowest, count = *highest - first + 1;
  const RotaryTable places =
      table_of_rows(count, frequencies, [&](int64_t row, float* cosines, float* sines) {
        for (int64_t i = 0; i < width; ++i) turn_by(first + row, i, cosines, sines);
      });
  const auto *cos = places.cos.const_data_ptr<float>(), *sin = places.sin.const_data_ptr<float>();
  return table_of_rows(tokens, frequencies, [&](int64_t token, float* cosines, float* sines) {
    if (!row_of) {
      const int64_t from = (position[token] - first) * width;
      std::copy_n(cos + from, width, cosines);
      std::copy_n(sin + from, width, sines);
      return;
    }
    for (int64_t i = 0; i < width; ++i) {
      const int64_t from = (place_of(token, i) - first) * width + i;
      cosines[i] = cos[from];
      sines[i] = sin[from];
    }
  });
}

}  // namespace

at::Tensor inverse_frequencies(int64_t dim, double theta, at::TensorOptions options) {
  return at::pow(theta, at::arange(0, dim, 2, options).div_(dim)).reciprocal_();
}

RotaryTable rotary_table(const at::Tensor& angles, at::ScalarType dtype) {
  return {angles.cos().to(dtype), angles.sin().to(dtype)};
}

RotaryTable rotary_table(const at::Tensor& positions, const at::Tensor& frequencies,
                         const at::Tensor& axis, at::ScalarType dtype) {
  TORCH_CHECK(positions.dim() == 2 && positions.scalar_type() == at::kLong &&
                  frequencies.dim() == 1 &&
                  (!axis.defined() || axis.sizes() == frequencies.sizes()),
              "[rotary table] expected positions [axes, N] of int64, frequencies [D/2] and as many "
              "axes, got ",
              positions.sizes(), " of ", positions.scalar_type(), ", ", frequencies.sizes());
  if (cpu::runs_without_gradients(frequencies)) {
    const RotaryTable table = table_on_cpu(positions, frequencies, axis);
    return {table.cos.to(dtype), table.sin.to(dtype)};
  }
  // Contiguous, or every layer would copy the table.
  const at::Tensor rows = axis.defined() ? positions.index_select(0, axis).t().contiguous()
                                         : positions.select(0, 0).unsqueeze(1);
  return rotary_table(rows.to(frequencies.scalar_type()) * frequencies, dtype);
}

std::tuple<at::Tensor, at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k,
                                          const RotaryTable& table) {
  check(q, table);
  check(k, table);
  TORCH_CHECK(q.scalar_type() == k.scalar_type(), "[rotate] expected one dtype, got ",
              q.scalar_type(), " and ", k.scalar_type());
  const variable_list turned = at::GradMode::is_enabled()
                                   ? Rotate::apply(q, k, table.cos, table.sin)
                                   : turn_both(q, k, table);
  return {turned[0], turned[1]};
}

}  // namespace caprl::ops
