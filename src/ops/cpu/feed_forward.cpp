#include <ATen/ATen.h>

#include <algorithm>

#include "ops/cpu/kernels.h"
#include "ops/cpu/operations.h"
#include "ops/cpu/packed_rows.h"
#include "ops/elements.h"

namespace caprl::ops::cpu {
namespace {

/// kernel(product, first, last) with packed rows for all outputs of a product or a gated one.
template <class T, class AnyProduct>
void multiply(const PackedRows<T>& rows, AnyProduct product,
              void (*kernel)(const AnyProduct&, int64_t, int64_t)) {
  product.rows = rows.rows();
  const auto weights = [&](int64_t output) { return weights_of(product, output); };
  over_outputs(rows, product.outputs, num_matrices(product), weights,
               [&](int64_t first, int64_t last, int64_t then) {
                 AnyProduct mine = product;
                 mine.x = rows.get();
                 mine.then = weights(then);
                 kernel(mine, first, last);
               });
}

}  // namespace

int64_t gated_floats(int64_t rows, int64_t inner) {
  return packed_floats(std::min(rows, kRowsAtOnce), inner);
}

bool feeds(const at::Tensor& x, const FeedForwardWeights& weights) {
  if (!runs_without_gradients(x) || x.numel() == 0) return false;
  const at::ScalarType dtype = x.scalar_type();
  return multiplies(weights.gate, dtype, x.size(1)) && multiplies(weights.up, dtype, x.size(1)) &&
         multiplies(weights.down, dtype, weights.gate.weight.values.size(0));
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
    GatedProduct<T> gate = gated_product<T>(weights.gate, weights.up);
    gate.gated = data<float>(gated);
    Product<T, T> down = product_of<T>(weights.down);
    down.y = data<T>(out);
    for (int64_t row = 0; row < num_rows; row += kRowsAtOnce) {
      const int64_t count = std::min(num_rows - row, kRowsAtOnce);
      const T* x = data<T>(from) + row * hidden;
      multiply(PackedRows<T>(Packing<T>{count, hidden, x}), gate, kernels().of<T>().gated_product);
      multiply(PackedRows<T>(count, inner, gate.gated), down, kernels().of<T>().product);
      down.y += count * width;
    }
  });
  return out;
}

}  // namespace caprl::ops::cpu
