#include <ATen/ATen.h>

#include <algorithm>

#include "ops/cpu/kernels.h"
#include "ops/cpu/operations.h"
#include "ops/cpu/packed_rows.h"
#include "ops/elements.h"

namespace caprl::ops::cpu {
namespace {

/// Gates and ups of packed rows, multiplied, to `gated`, packed.
template <class T>
void gate_rows(const PackedRows<T>& rows, const FeedForwardWeights& weights, float* gated) {
  GatedProduct<T> product = gated_product<T>(weights.gate, weights.up);
  product.rows = rows.rows();
  product.gated = gated;
  const auto weight = [&](int64_t output) { return product.gate + output * product.inner; };
  over_outputs(rows, product.outputs, 2, weight, [&](int64_t first, int64_t last, int64_t then) {
    GatedProduct<T> mine = product;
    mine.x = rows.get();
    mine.then = then < product.outputs ? weight(then) : nullptr;
    kernels().of<T>().gated_product(mine, first, last);
  });
}

/// Packed rows times a matrix.
template <class T>
void multiply_rows(const PackedRows<T>& rows, const LinearWeights& weights, T* y) {
  Product<T, T> product = product_of<T>(weights);
  product.rows = rows.rows();
  product.y = y;
  const auto weight = [&](int64_t output) { return product.weight + output * product.inner; };
  over_outputs(rows, product.outputs, 1, weight, [&](int64_t first, int64_t last, int64_t then) {
    Product<T, T> mine = product;
    mine.x = rows.get();
    mine.then = then < product.outputs ? weight(then) : nullptr;
    kernels().of<T>().product(mine, first, last);
  });
}

}  // namespace

int64_t gated_floats(int64_t rows, int64_t inner) {
  return packed_floats(std::min(rows, kRowsAtOnce), inner);
}

bool feeds(const at::Tensor& x, const FeedForwardWeights& weights) {
  if (!runs_without_gradients(x) || x.numel() == 0) return false;
  const auto fits = [&](const LinearWeights& one, int64_t inner) {
    const at::Tensor& weight = one.weight.values;
    return !one.is_adapted() && weight.is_contiguous() && weight.scalar_type() == x.scalar_type() &&
           weight.size(1) == inner;
  };
  return fits(weights.gate, x.size(1)) && fits(weights.up, x.size(1)) &&
         fits(weights.down, weights.gate.weight.values.size(0));
}

at::Tensor feed_forward(const at::Tensor& x, const FeedForwardWeights& weights) {
  const int64_t num_rows = x.size(0), hidden = x.size(1);
  const int64_t inner = weights.gate.weight.values.size(0),
                width = weights.down.weight.values.size(0);
  const at::Tensor from = x.contiguous();
  const at::Tensor gated =
      at::empty({gated_floats(num_rows, inner)}, x.options().dtype(at::kFloat));
  at::Tensor out = at::empty({num_rows, width}, x.options());
  with_element(x.scalar_type(), [&](auto element) {
    using T = decltype(element);
    for (int64_t row = 0; row < num_rows; row += kRowsAtOnce) {
      const int64_t count = std::min(num_rows - row, kRowsAtOnce);
      gate_rows(PackedRows<T>(Packing<T>{count, hidden, data<T>(from) + row * hidden}), weights,
                data<float>(gated));
      multiply_rows(PackedRows<T>(count, inner, data<float>(gated)), weights.down,
                    data<T>(out) + row * width);
    }
  });
  return out;
}

}  // namespace caprl::ops::cpu
