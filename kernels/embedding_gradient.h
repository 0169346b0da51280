// The gradient of an embedding lookup, added to fp32 weights' gradients (those of a tied output
// projection, for instance) without atomics: the same sums in the same order at every launch.
#pragma once
#include <cstdint>

#include "kernels/math/bf16.h"
#include "kernels/stream.h"

namespace caprl::kernels {

/// Device pointers; N tokens, V ids, H columns. Any alignment; wide access where every row allows
/// it.
template <class T>
struct EmbeddingGradient {
  const T* d_out = nullptr;      // [N, H] gradients of the looked-up rows
  const int64_t* ids = nullptr;  // [N] in [0, V)
  /// [N] the tokens sorted by id, equal ids in a fixed order (a stable sort gives one).
  const int64_t* order = nullptr;
  int64_t num_tokens = 0, width = 0;
  /// Tokens of this id (the image placeholder) add nothing, and their d_out is not read. −1: none.
  int64_t skip_id = -1;
  float* d_weight = nullptr;  // [V, H]; rows of ids that do not occur are not touched
};

/// d_weight[id] += Σ d_out[n] over the tokens n of that id, summed in fp32.
template <class T>
void embedding_gradient(const EmbeddingGradient<T>& gradient, Stream stream);

}  // namespace caprl::kernels
