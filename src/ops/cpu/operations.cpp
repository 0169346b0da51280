#include "ops/cpu/operations.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "ops/cpu/kernels.h"
#include "ops/elements.h"
#include "ops/fused/kernels.h"
#include "ops/rows.h"

namespace caprl::ops::cpu {
namespace {

constexpr int64_t kWorthAThread = 32 * 1024;  // elements
constexpr int64_t kWorthAPiece = 16 * 1024;   // products of 16 numbers
// Outputs that a thread takes at once, or a multiple: many rows are read anew for every piece, of a
// few the threads end closer together.
constexpr int64_t kOutputsOfManyRows = 48, kOutputsOfFewRows = 16;
constexpr int64_t kRowsAtOnce = 512;  // that are packed for their products
// Matrices of so many bytes stay in a core's cache while it goes through its rows, so many at once.
constexpr int64_t kSmallWeights = 256 << 10, kRowsOfAThread = 64;

template <class Run>
void over(int64_t count, int64_t cost_of_one, Run run) {
  parallel_for(0, count, std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, cost_of_one)),
               run);
}

/// Rows as products read them. A few are packed by each thread for itself: a line of a cache that
/// one core writes and another reads, again and again, takes longer to come than to make.
template <class Value>
class PackedRows {
 public:
  explicit PackedRows(const Packing<Value>& packing)
      : packing_(packing), shared_(packing.rows > kPackedRows) {
    if (!shared_) return;
    packing_.packed = memory();
    over((packing_.rows + kPackedRows - 1) / kPackedRows, kPackedRows * packing_.inner,
         [&](int64_t first, int64_t last) {
           kernels().of<Value>().pack(packing_, first * kPackedRows,
                                      std::min(last * kPackedRows, packing_.rows));
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
  void over(int64_t first, int64_t last, int64_t then, const Run& run) const {
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
      products.over(first, last, then,
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
    products.over(0, products.num_outputs(), 0,
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
  for (int64_t block = 0; d_weight.defined() && block < blocks; ++block)
    d_weight.add_(of_blocks.select(0, block));
  return d_sum;
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
  const at::Tensor gates = gate.contiguous(), ups = up.contiguous(), gradients = g.contiguous();
  std::array<at::Tensor, 2> d{at::empty(gate.sizes(), gate.options()),
                              at::empty(gate.sizes(), gate.options())};
  with_element(gate.scalar_type(), [&](auto element) {
    using T = decltype(element);
    const GateGradients<T> problem{data<T>(gates), data<T>(ups), data<T>(gradients), data<T>(d[0]),
                                   data<T>(d[1])};
    over(gate.numel(), 4, [&](int64_t first, int64_t last) {
      kernels().of<T>().gate_backward(problem, first, last);
    });
  });
  return d;
}

bool rotates(const at::Tensor& x, const RotaryTable& table) {
  return table.cos.scalar_type() == x.scalar_type();
}

std::vector<at::Tensor> rotate(const at::Tensor& q, const at::Tensor& k, const RotaryTable& table) {
  return {turned(q, table), turned(k, table)};
}

}  // namespace caprl::ops::cpu
