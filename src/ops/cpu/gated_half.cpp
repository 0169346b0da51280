#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "caprl/core/parallel.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/operations.h"
#include "ops/cpu/packed_rows.h"
#include "ops/elements.h"

namespace caprl::ops::cpu {
namespace {

constexpr int64_t kBlockBytes = 1 << 20;  // of a second-level cache, about
constexpr int64_t kMostRows = 64;         // of a block: threads end close together

/// What a row of a block needs: floats, whatever the dtype.
int64_t floats_of_row(int64_t hidden, int64_t inner) { return 4 * hidden + inner; }

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
    packed_ = take(hidden_);
    gated_ = take(inner_);
  }

  /// `count` rows, at most `most_rows`.
  void run(const T* hidden, const T* mixed, int64_t count, T* next, T* next_normed) const {
    const FeedForwardWeights& weights = half_.feed_forward;
    norm(hidden, mixed, half_.norm, count, sums_, normed_);
    kernels().of<T>().pack({count, hidden_, normed_, packed_}, 0, count);
    gate(weights.gate, weights.up, count);
    multiply(weights.down, count);
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

  void gate(const LinearWeights& gate, const LinearWeights& up, int64_t count) const {
    GatedProduct<T> product = gated_product<T>(gate, up);
    product.rows = count;
    product.x = packed_;
    product.gated = gated_;
    kernels().of<T>().gated_product(product, 0, inner_);
  }

  void multiply(const LinearWeights& down, int64_t count) const {
    Product<T, T> product = product_of<T>(down);
    product.rows = count;
    product.x = gated_;
    product.y = change_;
    kernels().of<T>().product(product, 0, hidden_);
  }

  const GatedHalf& half_;
  int64_t hidden_, inner_;
  T *sums_, *normed_, *change_;
  float *packed_, *gated_;  // rows as products read them
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
  if (half.bits != RowBits::kFixed || !feeds(hidden, weights)) return false;
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
