#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/operations.h"
#include "ops/cpu/packed_rows.h"
#include "ops/elements.h"

namespace caprl::ops::cpu {
namespace {

// Matrices of so many bytes stay in a core's cache while it goes through its rows, so many at once.
constexpr int64_t kSmallWeights = 256 << 10, kRowsOfAThread = 64;

template <class Value, class Out>
using ProductKernel = void (*)(const Product<Value, Out>&, int64_t first, int64_t last);

/// Products of the same rows, their outputs one after another.
template <class Value, class Out>
class Products {
 public:
  Products(std::span<const LinearWeights> weights, std::span<at::Tensor> results) {
    for (size_t i = 0; i < weights.size(); ++i) {
      if (!weights[i].weight.values.is_contiguous())
        throw Error("[linear] the weight is not contiguous");
      Product<Value, Out>& product = all_.emplace_back(product_of<Value, Out>(weights[i]));
      product.y = data<Out>(results[i]);
      ends_.push_back(num_outputs() + product.outputs);
    }
  }

  int64_t num_outputs() const { return ends_.empty() ? 0 : ends_.back(); }

  /// Of an output and those after it; null behind the last one.
  const Value* weight(int64_t output) const {
    const auto i = std::upper_bound(ends_.begin(), ends_.end(), output) - ends_.begin();
    if (i == std::ssize(ends_)) return nullptr;
    const Product<Value, Out>& product = all_[i];
    return product.weight + (output - ends_[i] + product.outputs) * product.inner;
  }

  /// run(product, first, last) for the parts that lie in [first, last); then come other outputs.
  template <class Run>
  void parts(int64_t first, int64_t last, int64_t then, const Run& run) const {
    for (size_t i = 0; i < all_.size() && first < last; ++i) {
      if (first >= ends_[i]) continue;
      const int64_t end = std::min(last, ends_[i]), begin = ends_[i] - all_[i].outputs;
      Product<Value, Out> product = all_[i];
      product.then = weight(end < last ? end : then);
      run(product, first - begin, end - begin);
      first = end;
    }
  }

 private:
  std::vector<Product<Value, Out>> all_;
  std::vector<int64_t> ends_;
};

/// Threads divide the outputs: each weight is read once.
template <class Value, class Out>
void divide_outputs(const at::Tensor& x, const Products<Value, Out>& products,
                    ProductKernel<Value, Out> kernel) {
  const int64_t inner = x.size(1);
  for (int64_t row = 0; row < x.size(0); row += kRowsAtOnce) {
    Packing<Value> packing{std::min(x.size(0) - row, kRowsAtOnce), inner};
    packing.x = data<Value>(x) + row * inner;
    const PackedRows rows(packing);
    const auto weight = [&](int64_t output) { return products.weight(output); };
    over_outputs(rows, products.num_outputs(), 1, weight,
                 [&](int64_t first, int64_t last, int64_t then) {
                   products.parts(first, last, then,
                                  [&](Product<Value, Out> product, int64_t begin, int64_t end) {
                                    product.rows = rows.rows();
                                    product.x = rows.get();
                                    product.y += row * product.y_stride;
                                    kernel(product, begin, end);
                                  });
                 });
  }
}

/// Threads divide the rows: each finds what it made itself in its own cache, here and in the
/// operations before and after.
template <class Value, class Out>
void divide_rows(const at::Tensor& x, const Products<Value, Out>& products,
                 ProductKernel<Value, Out> kernel) {
  const int64_t inner = x.size(1), rows = x.size(0);
  const auto multiply_some = [&](int64_t first, int64_t last) {
    Packing<Value> packing{last - first, inner, data<Value>(x) + first * inner};
    packing.packed = thread_scratch(packed_floats(packing.rows, inner));
    kernels().of<Value>().pack(packing, 0, packing.rows);
    products.parts(0, products.num_outputs(), 0,
                   [&](Product<Value, Out> product, int64_t begin, int64_t end) {
                     product.rows = packing.rows;
                     product.x = packing.packed;
                     product.y += first * product.y_stride;
                     kernel(product, begin, end);
                   });
  };
  parallel_for_pieces(0, rows, kRowsOfAThread, multiply_some);
}

/// Divided among the threads by what is the smaller burden: weights or rows in several caches.
template <class Value, class Out>
void multiply(const at::Tensor& x, std::span<const LinearWeights> weights,
              std::span<at::Tensor> results, ProductKernel<Value, Out> kernel) {
  const Products<Value, Out> products(weights, results);
  const int64_t bytes = products.num_outputs() * x.size(1) * x.element_size();
  if (bytes <= kSmallWeights && x.size(0) >= num_loop_threads() * kRowsOfAThread)
    divide_rows(x, products, kernel);
  else
    divide_outputs(x, products, kernel);
}

}  // namespace

std::vector<at::Tensor> linear_each(const at::Tensor& x, std::span<const LinearWeights> weights,
                                    at::ScalarType out) {
  std::vector<at::Tensor> results;
  std::vector<int64_t> shape = x.sizes().vec();
  for (const LinearWeights& one : weights) {
    shape.back() = one.weight.values.size(0);
    results.push_back(at::empty(shape, x.options().dtype(out)));
  }
  if (x.numel() == 0 && results.front().numel() == 0) return results;
  const at::Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
  with_element(x.scalar_type(), [&](auto element) {
    using T = decltype(element);
    if (out == x.scalar_type())
      multiply<T, T>(rows, weights, results, kernels().of<T>().product);
    else
      multiply<Bf16, float>(rows, weights, results, kernels().product_bf16_f32);
  });
  return results;
}

}  // namespace caprl::ops::cpu
