// Tensors as the rows that kernels work on.
#pragma once
#include <ATen/ATen.h>

namespace caprl::ops {

/// [..., W] as [N, W] with the values of a row side by side and rows a stride apart; a copy only
/// where the layout asks for one. Undefined stays undefined.
inline at::Tensor as_rows(const at::Tensor& x) {
  if (!x.defined()) return x;
  const at::Tensor flat = x.reshape({-1, x.size(-1)});
  return flat.stride(1) == 1 || flat.size(1) == 1 ? flat : flat.contiguous();
}

/// Heads of a row one after another, rows a stride apart, as they come out of a projection.
inline at::Tensor with_adjacent_heads(const at::Tensor& x) {
  return x.stride(2) == 1 && x.stride(1) == x.size(2) ? x : x.contiguous();
}

/// What a norm of rows makes, of their sum with others maybe.
struct AddedNorm {
  at::Tensor sum, normed;  // like the rows
  at::Tensor scale;        // 1 / rms of the sum's rows, [..., 1] float
};

inline int64_t stride_of(const at::Tensor& rows) { return rows.defined() ? rows.stride(0) : 0; }

}  // namespace caprl::ops
