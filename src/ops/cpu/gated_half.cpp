#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "caprl/core/parallel.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/operations.h"
#include "ops/elements.h"

namespace caprl::ops::cpu {
namespace {

constexpr int64_t kBlockBytes = 1 << 20;  // of a second-level cache, about
constexpr int64_t kMostRows = 64;         // of a block: threads end close together

/// What a row of a block needs: floats, whatever the dtype.
int64_t floats_of_row(int64_t hidden, int64_t inner) {
  return 3 * hidden + 3 * inner + std::max(hidden, inner);
}

/// The layer's second half for one thread's blocks of rows.
template <class T>
class Block {
 public:
  Block(const GatedHalf& half, int64_t most_rows)
      : half_(half),
        hidden_(half.norm.numel()),
        inner_(half.feed_forward.gate.weight.values.size(0)) {
    float* at = thread_scratch(most_rows * floats_of_row(hidden_, inner_));
    const auto take = [&](int64_t width) { return std::exchange(at, at + most_rows * width); };
    sums_ = reinterpret_cast<T*>(take(hidden_));
    normed_ = reinterpret_cast<T*>(take(hidden_));
    change_ = reinterpret_cast<T*>(take(hidden_));
    gates_ = reinterpret_cast<T*>(take(inner_));
    ups_ = reinterpret_cast<T*>(take(inner_));
    gated_ = reinterpret_cast<T*>(take(inner_));
    packed_ = take(std::max(hidden_, inner_));
  }

  /// `count` rows, at most `most_rows`.
  void run(const T* hidden, const T* mixed, int64_t count, T* next, T* next_normed) const {
    const FeedForwardWeights& weights = half_.feed_forward;
    norm(hidden, mixed, half_.norm, count, sums_, normed_);
    pack(normed_, count, hidden_);
    multiply(weights.gate, count, gates_);
    multiply(weights.up, count, ups_);
    kernels().of<T>().gate({gates_, ups_, gated_}, 0, count * inner_);
    pack(gated_, count, inner_);
    multiply(weights.down, count, change_);
    norm(sums_, change_, half_.next_norm, count, next, next_normed);
  }

 private:
  void norm(const T* x, const T* delta, const at::Tensor& weight, int64_t count, T* sum,
            T* normed) const {
    NormRows<T> rows;
    rows.width = hidden_;
    rows.x = x;
    rows.delta = delta;
    rows.weight = data<T>(weight);
    rows.sum = sum;
    rows.normed = normed;
    rows.eps = static_cast<float>(half_.eps);
    kernels().of<T>().norm(rows, 0, count);
  }

  void pack(const T* x, int64_t count, int64_t width) const {
    kernels().of<T>().pack({count, width, x, packed_}, 0, count);
  }

  /// The packed rows times a matrix.
  void multiply(const LinearWeights& weights, int64_t count, T* y) const {
    Product<T, T> product;
    product.rows = count;
    product.outputs = product.y_stride = weights.weight.values.size(0);
    product.inner = weights.weight.values.size(1);
    product.x = packed_;
    product.weight = data<T>(weights.weight.values);
    product.bias = data<T>(weights.bias.values);
    product.y = y;
    kernels().of<T>().product(product, 0, product.outputs);
  }

  const GatedHalf& half_;
  int64_t hidden_, inner_;
  T *sums_, *normed_, *change_, *gates_, *ups_, *gated_;
  float* packed_;
};

}  // namespace

int64_t rows_fed_at_once(int64_t rows, int64_t hidden, int64_t inner) {
  const int64_t fit = kBlockBytes / static_cast<int64_t>(sizeof(float)) /
                      floats_of_row(hidden, inner) / kPackedRows * kPackedRows;
  const int64_t share = rows / num_loop_threads() / kPackedRows * kPackedRows;
  return std::min({fit, share, kMostRows});
}

bool feeds_in_blocks(const at::Tensor& hidden, const GatedHalf& half) {
  const FeedForwardWeights& weights = half.feed_forward;
  if (half.bits != RowBits::kFixed || !runs_without_gradients(hidden)) return false;
  for (const LinearWeights* one : {&weights.gate, &weights.up, &weights.down})
    if (one->is_adapted() || !one->weight.values.is_contiguous()) return false;
  return weights.down.weight.values.size(0) == hidden.size(1) &&
         rows_fed_at_once(hidden.size(0), hidden.size(1), weights.gate.weight.values.size(0)) > 0;
}

LayerStates gated_half(const at::Tensor& hidden, const at::Tensor& mixed, const GatedHalf& half) {
  const int64_t rows = hidden.size(0), width = hidden.size(1);
  const int64_t block = rows_fed_at_once(rows, width, half.feed_forward.gate.weight.values.size(0));
  const at::Tensor from = hidden.contiguous(), change = mixed.contiguous();
  const LayerStates made{at::empty(hidden.sizes(), hidden.options()),
                         at::empty(hidden.sizes(), hidden.options())};
  with_element(hidden.scalar_type(), [&](auto element) {
    using T = decltype(element);
    parallel_for_pieces(0, rows, block, [&](int64_t first, int64_t last) {
      const int64_t at = first * width;
      Block<T>(half, block)
          .run(data<T>(from) + at, data<T>(change) + at, last - first, data<T>(made.hidden) + at,
               data<T>(made.normed) + at);
    });
  });
  return made;
}

}  // namespace caprl::ops::cpu
