// Rotary position embedding of queries and keys, half-split form (Su et al., arXiv 2104.09864):
// pairs (i, i + D/2) of every head turned by the row's angles. With it, the biases of the
// projections and the writing of keys and values to paged memory, which read the same values.
#pragma once
#include <cstdint>

#include "kernels/math/bf16.h"
#include "kernels/stream.h"

namespace caprl::kernels {

/// N rows of heads · D values, rows `stride` apart, the heads of a row one after another.
template <class T>
struct RotaryInput {
  const T* values = nullptr;
  int64_t stride = 0;
  const T* bias = nullptr;  // [heads · D], added before the turn; null: none
};

/// The same shape. It may be the input itself, of equal stride, but must not overlap any input
/// otherwise.
template <class T>
struct RotaryOutput {
  T* values = nullptr;  // null: not wanted
  int64_t stride = 0;
};

/// Device pointers of any alignment; wide access where every row allows it.
template <class T, class Table>
struct Rotary {
  int64_t num_rows = 0, num_q_heads = 0, num_kv_heads = 0, head_dim = 0;  // head_dim: even
  const Table* cos = nullptr;                                             // [N, D/2]
  const Table* sin = nullptr;                                             // [N, D/2]
  // May lie in one packed product. v is not turned; v.values null: there is none.
  RotaryInput<T> q{}, k{}, v{};
  RotaryOutput<T> q_out{}, k_out{}, v_out{};

  // Paged memory, [num_pages, page_size, num_kv_heads, D]; null: not written.
  T* k_pages = nullptr;            // turned keys
  T* v_pages = nullptr;            // values with their bias
  const int64_t* slots = nullptr;  // [N] page · page_size + offset, all different; −1: not written
};

/// x = value + bias; out[i] = x[i] cos[i] − x[i + D/2] sin[i],
/// out[i + D/2] = x[i + D/2] cos[i] + x[i] sin[i]. In float whatever the types, rounded once: for
/// bfloat16 tables ops::rotate on the CPU rounds the four products, too.
/// (T, Table): (float, float), (Bf16, Bf16) and, as vision towers have it, (Bf16, float).
template <class T, class Table>
void rotary_forward(const Rotary<T, Table>& rotary, Stream stream);

/// Gradients of the outputs → gradients of the inputs, in place: the turn by the negative angles.
template <class T, class Table>
struct RotaryGradient {
  int64_t num_rows = 0, num_q_heads = 0, num_kv_heads = 0, head_dim = 0;
  const Table* cos = nullptr;  // [N, D/2]
  const Table* sin = nullptr;  // [N, D/2]
  T* d_q = nullptr;            // [N, num_q_heads, D], rows q_stride apart
  int64_t q_stride = 0;
  T* d_k = nullptr;  // [N, num_kv_heads, D], rows k_stride apart
  int64_t k_stride = 0;
};

template <class T, class Table>
void rotary_backward(const RotaryGradient<T, Table>& gradient, Stream stream);

}  // namespace caprl::kernels
