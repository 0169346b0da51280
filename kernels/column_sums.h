// Sums of a matrix over its rows: the gradient of a bias.
#pragma once
#include <cstdint>

#include "kernels/math/bf16.h"
#include "kernels/stream.h"

namespace caprl::kernels {

/// sums[j] += Σₙ x[n, j], in float and in a fixed order that depends on N and F alone.
///
/// Device pointers to N rows of F values, `stride` ≥ F values apart. Any alignment; wide access
/// where every row is 16-byte aligned and F is whole packs of 16 bytes.
template <class T>
struct ColumnSums {
  const T* x = nullptr;
  int64_t stride = 0, num_rows = 0, width = 0;  // N, F
  float* sums = nullptr;                        // [F]
  float* workspace = nullptr;  // column_sums_workspace floats; what they hold does not matter
};

/// T: float, Bf16.
template <class T>
void column_sums(const ColumnSums<T>& rows, Stream stream);
int64_t column_sums_workspace(int64_t num_rows, int64_t width);

}  // namespace caprl::kernels
