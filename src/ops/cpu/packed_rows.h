// Products of packed rows whose outputs the threads divide: each weight is read once.
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstring>

#include "caprl/core/parallel.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/operations.h"
#include "ops/elements.h"

namespace caprl::ops::cpu {

inline constexpr int64_t kRowsAtOnce = 512;  // that are packed for their products

/// Whether kernels multiply rows of `dtype` and this length by these weights.
inline bool multiplies(const LinearWeights& weights, at::ScalarType dtype, int64_t inner) {
  const at::Tensor& values = weights.weight.values;
  return !weights.is_adapted() && values.is_contiguous() && values.scalar_type() == dtype &&
         values.size(1) == inner;
}

/// A product's matrix; rows are to be added.
template <class Value, class Out = Value>
Product<Value, Out> product_of(const LinearWeights& weights) {
  Product<Value, Out> product;
  product.outputs = product.y_stride = weights.weight.values.size(0);
  product.inner = weights.weight.values.size(1);
  product.weight = data<Value>(weights.weight.values);
  product.bias = data<Value>(weights.bias.values);
  return product;
}
template <class Value>
GatedProduct<Value> gated_product(const LinearWeights& gate, const LinearWeights& up) {
  GatedProduct<Value> product;
  product.outputs = gate.weight.values.size(0);
  product.inner = gate.weight.values.size(1);
  product.gate = data<Value>(gate.weight.values);
  product.up = data<Value>(up.weight.values);
  product.gate_bias = data<Value>(gate.bias.values);
  product.up_bias = data<Value>(up.bias.values);
  return product;
}

/// Where an output's weights begin; null behind the last one.
template <class Value, class Out>
const Value* weights_of(const Product<Value, Out>& product, int64_t output) {
  return output < product.outputs ? product.weight + output * product.inner : nullptr;
}
template <class Value>
const Value* weights_of(const GatedProduct<Value>& product, int64_t output) {
  return output < product.outputs ? product.gate + output * product.inner : nullptr;
}
template <class Value, class Out>
constexpr int64_t num_matrices(const Product<Value, Out>&) {
  return 1;
}
template <class Value>
constexpr int64_t num_matrices(const GatedProduct<Value>&) {
  return 2;
}

/// Rows as products read them. A few lie in each thread's own memory: a line of a cache that one
/// core writes and another reads, again and again, takes longer to come than to make.
template <class Value>
class PackedRows {
 public:
  /// Rows that are to be packed.
  explicit PackedRows(const Packing<Value>& packing)
      : packing_(packing), shared_(packing.rows > kPackedRows) {
    if (!shared_) return;
    packing_.packed = memory();
    parallel_for_pieces(0, packing_.rows, kPackedRows, [&](int64_t first, int64_t last) {
      kernels().of<Value>().pack(packing_, first, last);
    });
  }
  /// Rows that threads have packed together.
  PackedRows(int64_t rows, int64_t inner, float* packed)
      : packing_{rows, inner, nullptr, packed}, shared_(rows > kPackedRows) {}

  int64_t rows() const { return packing_.rows; }
  int64_t inner() const { return packing_.inner; }
  /// Before this thread gets them.
  void begin_thread() const {
    if (shared_) return;
    Packing<Value> mine = packing_;
    mine.packed = memory();
    if (packing_.x)
      kernels().of<Value>().pack(mine, 0, mine.rows);
    else
      std::memcpy(mine.packed, packing_.packed, num_floats() * sizeof(float));
  }
  const float* get() const { return shared_ ? packing_.packed : memory(); }

 private:
  int64_t num_floats() const {
    const int64_t values = kernels().of<Value>().values_of_word;
    return packed_floats(packing_.rows, (packing_.inner + values - 1) / values);
  }
  float* memory() const { return thread_scratch(num_floats()); }

  Packing<Value> packing_;
  bool shared_;
};

/// As kernels do it of the weights that they come to.
template <class Value>
void fetch_ahead(const Value* weight, int64_t inner) {
  constexpr int64_t kLine = 64 / sizeof(Value), kValues = kBytesAhead / sizeof(Value);
  for (int64_t i = 0; i < std::min(inner, kValues); i += kLine)
    for (int64_t o = 0; o < kOutputsAhead; ++o) __builtin_prefetch(weight + o * inner + i, 0, 2);
}

/// run(first, last, then) for parts of [0, outputs), each of `matrices` products, whose weights
/// begin at weight(first); then the thread comes to other outputs.
template <class Value, class WeightOf, class Run>
void over_outputs(const PackedRows<Value>& rows, int64_t outputs, int64_t matrices,
                  const WeightOf& weight, const Run& run) {
  constexpr int64_t kWorthAPiece = 16 * 1024;  // products of 16 numbers
  // Outputs that a thread takes at once, or a multiple: many rows are read anew for every piece, of
  // a few the threads end closer together.
  constexpr int64_t kOutputsOfManyRows = 48, kOutputsOfFewRows = 16;
  const int64_t cost = rows.rows() * rows.inner() * matrices / 16;
  const int64_t worth_it = kWorthAPiece / std::max<int64_t>(1, cost);
  const int64_t least = rows.rows() > kPackedRows ? kOutputsOfManyRows : kOutputsOfFewRows;
  parallel_for_runs(0, outputs, (worth_it / least + 1) * least, run, [&](int64_t first) {
    fetch_ahead(weight(first), rows.inner());
    rows.begin_thread();
  });
}

}  // namespace caprl::ops::cpu
