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

/// What a row of a block needs: floats, whatever the dtype. `widest`: of what products other than
/// the gates read.
int64_t floats_of_row(int64_t hidden, int64_t widest) { return 4 * hidden + widest; }

int64_t width_of(const LinearWeights& weights) { return weights.weight.values.size(1); }
int64_t widest_of(const GatedHalf& half) {
  return std::max(width_of(half.output), width_of(half.feed_forward.down));
}

/// What follows attention, for one thread's blocks of rows.
template <class T>
class Block {
 public:
  Block(const GatedHalf& half, int64_t most_rows) : half_(half), hidden_(half.norm.numel()) {
    const int64_t widest = widest_of(half);
    float* at = thread_scratch(most_rows * floats_of_row(hidden_, widest));
    const auto take = [&](int64_t width) { return std::exchange(at, at + most_rows * width); };
    sums_ = reinterpret_cast<T*>(take(hidden_));
    normed_ = reinterpret_cast<T*>(take(hidden_));
    change_ = reinterpret_cast<T*>(take(hidden_));
    packed_ = take(hidden_);
    wide_ = take(widest);
  }

  /// `count` rows, at most `most_rows`.
  void run(const T* hidden, const T* attended, int64_t count, T* next, T* next_normed) const {
    const FeedForwardWeights& weights = half_.feed_forward;
    kernels().of<T>().pack({count, width_of(half_.output), attended, wide_}, 0, count);
    multiply(half_.output, count);
    norm(hidden, change_, half_.norm, count, sums_, normed_);
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
    product.gated = wide_;
    kernels().of<T>().gated_product(product, 0, product.outputs);
  }

  /// Of what lies in `wide_`, to `change_`.
  void multiply(const LinearWeights& weights, int64_t count) const {
    Product<T, T> product = product_of<T>(weights);
    product.rows = count;
    product.x = wide_;
    product.y = change_;
    kernels().of<T>().product(product, 0, hidden_);
  }

  const GatedHalf& half_;
  int64_t hidden_;
  T *sums_, *normed_, *change_;
  float *packed_, *wide_;  // rows as products read them
};

}  // namespace

int64_t rows_fed_at_once(int64_t rows, int64_t hidden, int64_t widest) {
  const int64_t fit = kBlockBytes / static_cast<int64_t>(sizeof(float)) /
                      floats_of_row(hidden, widest) / kPackedRows * kPackedRows;
  const int64_t share = rows / num_loop_threads() / kPackedRows * kPackedRows;
  return std::min({fit, share, kMostRows});
}

bool feeds_in_blocks(const at::Tensor& hidden, const at::Tensor& attended, const GatedHalf& half) {
  const bool joins = attended.scalar_type() == hidden.scalar_type() &&
                     multiplies(half.output, hidden.scalar_type(), attended.size(1)) &&
                     half.output.weight.values.size(0) == hidden.size(1);
  if (half.bits != RowBits::kFixed || !joins || !feeds(hidden, half.feed_forward)) return false;
  return half.feed_forward.down.weight.values.size(0) == hidden.size(1) &&
         rows_fed_at_once(hidden.size(0), hidden.size(1), widest_of(half)) > 0;
}

LayerStates gated_half(const at::Tensor& hidden, const at::Tensor& attended,
                       const GatedHalf& half) {
  const int64_t rows = hidden.size(0), width = hidden.size(1), seen = attended.size(1);
  const int64_t block = rows_fed_at_once(rows, width, widest_of(half));
  const at::Tensor from = hidden.contiguous(), heads = attended.contiguous();
  const LayerStates made{at::empty(hidden.sizes(), hidden.options()),
                         at::empty(hidden.sizes(), hidden.options())};
  with_element(hidden.scalar_type(), [&](auto element) {
    using T = decltype(element);
    parallel_for_pieces(0, rows, block, [&](int64_t first, int64_t last) {
      const int64_t at = first * width;
      Block<T>(half, block)
          .run(data<T>(from) + at, data<T>(heads) + first * seen, last - first,
               data<T>(made.hidden) + at, data<T>(made.normed) + at);
    });
  });
  return made;
}

}  // namespace caprl::ops::cpu
