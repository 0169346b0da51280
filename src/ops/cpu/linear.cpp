#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/operations.h"
#include "ops/elements.h"

namespace caprl::ops::cpu {
namespace {

constexpr int64_t kWorthAPiece = 16 * 1024;  // products of 16 numbers
// Outputs that a thread takes at once, or a multiple: many rows are read anew for every piece, of a
// few the threads end closer together.
constexpr int64_t kOutputsOfManyRows = 48, kOutputsOfFewRows = 16;
constexpr int64_t kRowsAtOnce = 512;  // that are packed for their products
// Matrices of so many bytes stay in a core's cache while it goes through its rows, so many at once.
constexpr int64_t kSmallWeights = 256 << 10, kRowsOfAThread = 64;

/// Rows as products read them. A few are packed by each thread for itself: a line of a cache that
/// one core writes and another reads, again and again, takes longer to come than to make.
template <class Value>
class PackedRows {
 public:
  explicit PackedRows(const Packing<Value>& packing)
      : packing_(packing), shared_(packing.rows > kPackedRows) {
    if (!shared_) return;
    packing_.packed = memory();
    parallel_for_pieces(0, packing_.rows, kPackedRows, [&](int64_t first, int64_t last) {
      kernels().of<Value>().pack(packing_, first, last);
    });
  }
  /// Before this thread gets them.
  void begin_thread() const {
    if (shared_) return;
    Packing<Value> mine = packing_;
    mine.packed = memory();
    kernels().of<Value>().pack(mine, 0, mine.rows);
  }
  const float* get() const { return shared_ ? packing_.packed : memory(); }

 private:
  float* memory() const { return thread_scratch(packed_floats(packing_.rows, packing_.inner)); }

  Packing<Value> packing_;
  bool shared_;
};

template <class Value, class Out>
using ProductKernel = void (*)(const Product<Value, Out>&, int64_t first, int64_t last);

/// As kernels do it of the weights that they come to.
template <class Value>
void fetch_ahead(const Value* weight, int64_t inner) {
  constexpr int64_t kLine = 64 / sizeof(Value), kValues = kBytesAhead / sizeof(Value);
  for (int64_t i = 0; i < std::min(inner, kValues); i += kLine)
    for (int64_t o = 0; o < kOutputsAhead; ++o) __builtin_prefetch(weight + o * inner + i, 0, 2);
}

/// Products of the same rows, their outputs one after another.
template <class Value, class Out>
class Products {
 public:
  Products(int64_t inner, std::span<const LinearWeights> weights, std::span<at::Tensor> results) {
    for (size_t i = 0; i < weights.size(); ++i) {
      if (!weights[i].weight.values.is_contiguous())
        throw Error("[linear] the weight is not contiguous");
      Product<Value, Out>& product = all_.emplace_back();
      product.inner = inner;
      product.outputs = weights[i].weight.values.size(0);
      product.weight = data<Value>(weights[i].weight.values);
      product.bias = data<Value>(weights[i].bias.values);
      product.y = data<Out>(results[i]);
      product.y_stride = product.outputs;
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
    const int64_t worth_it = kWorthAPiece / std::max<int64_t>(1, packing.rows * inner / 16);
    const int64_t least = packing.rows > kPackedRows ? kOutputsOfManyRows : kOutputsOfFewRows;
    const int64_t piece = (worth_it / least + 1) * least;
    const auto start = [&](int64_t first) {
      fetch_ahead(products.weight(first), inner);
      rows.begin_thread();
    };
    const auto multiply_some = [&](int64_t first, int64_t last, int64_t then) {
      products.parts(first, last, then,
                     [&](Product<Value, Out> product, int64_t begin, int64_t end) {
                       product.rows = packing.rows;
                       product.x = rows.get();
                       product.y += row * product.y_stride;
                       kernel(product, begin, end);
                     });
    };
    parallel_for_runs(0, products.num_outputs(), piece, multiply_some, start);
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
  const Products<Value, Out> products(x.size(1), weights, results);
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
