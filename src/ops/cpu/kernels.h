// The CPU's kernels: raw pointers, no Torch. Work is divided by the caller, who gives
// each thread a range.
//
// Every output is computed by the same operations in the same order, whatever else is in the batch,
// however the work is divided: a token's bits depend on its own sequence alone. ATen's products
// choose their order by the batch's size.
#pragma once
#include <cstdint>
#include <type_traits>

#include "kernels/math/adamw_math.h"
#include "kernels/math/bf16.h"

namespace caprl::ops::cpu {

using kernels::Bf16;

/// Rows [rows, inner] to be laid out as products read them.
template <class T>
struct Packing {
  int64_t rows = 0, inner = 0;
  const T* x = nullptr;
  float* packed = nullptr;  // [packed_floats]
};
/// Rows that are packed together: a range of rows begins with a multiple of it.
inline constexpr int64_t kPackedRows = 32;
constexpr int64_t packed_floats(int64_t rows, int64_t inner) { return (rows + 7) / 8 * 8 * inner; }

/// y[m, n] = Σ_k x[m, k] · weight[n, k] + bias[n], summed in float. Weights as they are stored,
/// [outputs, inner].
template <class T, class Out>
struct Product {
  int64_t rows = 0, outputs = 0, inner = 0;
  const float* x = nullptr;  // packed
  const T* weight = nullptr;
  const T* bias = nullptr;  // null: none
  Out* y = nullptr;         // rows `y_stride` apart
  int64_t y_stride = 0;
  const T* then = nullptr;  // weights that are needed afterwards; null: none
};

/// silu(x · gateᵀ + bias) · (x · upᵀ + bias), gates, ups and silu rounded as T stores them.
template <class T>
struct GatedProduct {
  int64_t rows = 0, outputs = 0, inner = 0;
  const float* x = nullptr;  // packed
  const T* gate = nullptr;   // [outputs, inner]
  const T* up = nullptr;
  const T* gate_bias = nullptr;  // null: none
  const T* up_bias = nullptr;
  float* gated = nullptr;   // [rows, outputs], packed
  const T* then = nullptr;  // weights that are needed afterwards; null: none
};

/// Weights [outputs, inner] of which a kernel fetches so much ahead: of some outputs, some bytes.
inline constexpr int64_t kOutputsAhead = 8, kBytesAhead = 576 * 4;

/// sum = x (+ delta), scale = 1 / √(mean(sum²) + eps), normed = sum · scale rounded, · weight.
/// [rows, width].
template <class T>
struct NormRows {
  int64_t width = 0;
  const T* x = nullptr;
  const T* delta = nullptr;  // null: none, and no sum is written
  const T* weight = nullptr;
  T* sum = nullptr;
  T* normed = nullptr;
  float* scale = nullptr;  // [rows]; null: not wanted
  float eps = 0;
};

/// Of normed rows whose gradient is g: with r = sum · scale and t = g · weight,
/// d_sum = (t − r · mean(t · r)) · scale (+ g_sum) and d_weight += Σ_rows g · r.
template <class T>
struct NormGradients {
  int64_t width = 0;
  const T* g = nullptr;
  const T* g_sum = nullptr;  // of the sum from elsewhere; null: none
  const T* sum = nullptr;
  const T* weight = nullptr;
  const float* scale = nullptr;  // [rows]
  T* d_sum = nullptr;
};

/// out = silu(gate) rounded, · up. Elements.
template <class T>
struct GateValues {
  const T* gate = nullptr;
  const T* up = nullptr;
  T* out = nullptr;
};

/// Of out = silu(gate) · up, whose gradient is g.
template <class T>
struct GateGradients {
  const T* gate = nullptr;
  const T* up = nullptr;
  const T* g = nullptr;
  T* d_gate = nullptr;
  T* d_up = nullptr;
  T* out = nullptr;  // again; may be g. Null: not wanted
};

/// Rows of logits, divided by a temperature, and their targets. With z = logit / temperature. A
/// logit of −inf is an impossible token; NaN, +inf or nothing but −inf makes a row's results NaN.
struct SoftmaxRows {
  int64_t vocab = 0;
  float temperature = 1;
  float* logits = nullptr;           // [rows, vocab]
  const int64_t* targets = nullptr;  // [rows]
  float* highest = nullptr;          // [rows] of the logits
  float* sum = nullptr;              // [rows] Σ e^(z − highest z)
  float* logprobs = nullptr;         // [rows] of the targets
  float* entropy = nullptr;          // [rows]
};

/// d_logp · d logprob / d logit − bonus · d entropy / d logit of some rows, which takes the place
/// of the first rows' logits: [num_active, vocab]. The range is of the vocabulary, so that a row
/// may move up whatever the other threads have done.
struct SoftmaxGradients {
  SoftmaxRows rows;
  int64_t num_active = 0;
  const int64_t* active = nullptr;  // [num_active], ascending
  const float* d_logp = nullptr;    // [rows]
  const float* bonus = nullptr;     // [rows]; null: none
};

/// Heads of rows turned by the rows' angles: pairs (i, i + head_dim / 2).
template <class T, class Table>
struct TurnRows {
  int64_t heads = 0, head_dim = 0;
  const T* x = nullptr;  // rows `x_stride` apart, their heads side by side
  int64_t x_stride = 0;
  const Table* cos = nullptr;  // [rows, head_dim / 2]
  const Table* sin = nullptr;
  T* out = nullptr;  // [rows, heads, head_dim]
};

inline constexpr int64_t kPageSize = 16;  // tokens
/// Values of a token in a page of values: the head's, padded.
constexpr int64_t padded_head(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

/// Queries that see pages of keys and values (ops/paged_attention.h has the layout and the terms).
template <class T>
struct PagedRows {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 0;
  const T* q = nullptr;  // rows `q_stride` apart
  int64_t q_stride = 0;
  const T* cos = nullptr;  // [tokens, head_dim / 2] by which queries are turned first; null: not
  const T* sin = nullptr;
  T* out = nullptr;                        // [tokens, heads, head_dim]
  const T* k_pages = nullptr;              // [pages, kv_heads, head_dim, kPageSize]
  const T* v_pages = nullptr;              // [pages, kv_heads, kPageSize, padded_head]
  const int64_t* lengths = nullptr;        // [tokens]: keys that a token sees
  const int32_t* const* tables = nullptr;  // [tokens]: its pages
};

/// What attention keeps for a token and a head of keys while it goes through the pages.
constexpr int64_t scratch_floats(int64_t group, int64_t head_dim) {
  return group * (head_dim + padded_head(head_dim) + 2);
}

/// Of keys and values: [first, last).
struct Heads {
  int64_t first, last;
};

/// Tokens [first, first + count) with the same first `shared` pages.
struct TokenBlock {
  int64_t first = 0, count = 0, shared = 0;
};

/// A sequence of a group: its tokens see each other causally, and before that the whole prefix.
struct GroupSequence {
  int64_t first = 0, count = 0;                // rows of its tokens
  int64_t prefix_first = 0, prefix_count = 0;  // of the prefix's; a prefix itself has none
};

/// Rows of all groups for attention (ops/group_attention.h has the terms).
template <class T>
struct GroupRows {
  int64_t num_rows = 0, heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 0;
  const T* q = nullptr;  // rows `q_stride` apart, their heads side by side
  const T* k = nullptr;
  const T* v = nullptr;
  int64_t q_stride = 0, k_stride = 0, v_stride = 0;
  T* out = nullptr;      // [rows, heads, head_dim]
  float* lse = nullptr;  // [heads, rows]: log of the sum of exp of the scores
};

/// Of the same, whose `out` has the gradient g.
template <class T>
struct GroupGradients {
  const T* g = nullptr;  // [rows, heads, head_dim], as d_q
  T* d_q = nullptr;
  // Of one sequence and head of keys: [prefix's keys, then own ones; padded_head].
  float* d_k = nullptr;
  float* d_v = nullptr;
};

/// Keys that are taken at once.
inline constexpr int64_t kKeysOfBlock = 64;
/// Queries that are taken at once, with `group` heads each.
constexpr int64_t queries_of_block(int64_t group) { return group < 96 ? 96 / group : 1; }
/// What they need at most, forward or backward.
constexpr int64_t group_scratch_floats(int64_t group, int64_t head_dim) {
  const int64_t width = padded_head(queries_of_block(group) * group);
  return 3 * head_dim * width + 2 * padded_head(head_dim) * width +
         2 * kKeysOfBlock * (width + head_dim) + 4 * width;
}

/// Of values of one type. The range [first, last) is of outputs, rows or elements.
template <class T>
struct TypedKernels {
  int64_t values_of_word;  // in a float's place of packed rows
  void (*pack)(const Packing<T>&, int64_t first, int64_t last);
  void (*product)(const Product<T, T>&, int64_t first, int64_t last);
  /// `first` is even.
  void (*gated_product)(const GatedProduct<T>&, int64_t first, int64_t last);
  void (*norm)(const NormRows<T>&, int64_t first, int64_t last);
  /// `d_weight` [width] is added to; null: not wanted.
  void (*norm_backward)(const NormGradients<T>&, int64_t first, int64_t last, float* d_weight);
  void (*gate)(const GateValues<T>&, int64_t first, int64_t last);
  void (*gate_backward)(const GateGradients<T>&, int64_t first, int64_t last);
  void (*turn)(const TurnRows<T, T>&, int64_t first, int64_t last);
  /// One block and some heads of keys and values. `scratch` [count, heads, scratch_floats].
  void (*attend)(const PagedRows<T>&, const TokenBlock&, const Heads&, float* scratch);
  /// Queries [first, first + count) of a sequence, at most queries_of_block(), for one head of
  /// keys. `scratch` [group_scratch_floats].
  void (*attend_group)(const GroupRows<T>&, const GroupSequence&, int64_t first, int64_t count,
                       int64_t kv_head, float* scratch);
  /// One sequence and one head of keys; all is written, d_q of the sequence's queries.
  void (*attend_group_backward)(const GroupRows<T>&, const GroupGradients<T>&, const GroupSequence&,
                                int64_t kv_head, float* scratch);
};

struct Kernels {
  const char* name;
  TypedKernels<float> f32;
  TypedKernels<Bf16> bf16;
  void (*product_bf16_f32)(const Product<Bf16, float>&, int64_t first, int64_t last);
  void (*adamw)(const kernels::AdamWRun&, const kernels::AdamWCoefficients&, int64_t first,
                int64_t last);
  void (*softmax)(const SoftmaxRows&, int64_t first, int64_t last);
  void (*softmax_backward)(const SoftmaxGradients&, int64_t first, int64_t last);

  template <class T>
  const TypedKernels<T>& of() const {
    if constexpr (std::is_same_v<T, float>)
      return f32;
    else
      return bf16;
  }
};

/// Of the best instruction set that this CPU has. CAPRL_CPU_ISA=base|avx2|avx512|avx512_bf16
/// chooses a lesser one.
const Kernels& kernels();
/// All that this CPU can run, for tests.
const Kernels* const* runnable_kernels(int* count);

}  // namespace caprl::ops::cpu
