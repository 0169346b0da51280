// Rows of the embedding matrix.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace caprl::ops {

/// weight [V, H] (float, double, bfloat16), ids [N] int64 in [0, V) → [N, H]. Differentiable in the
/// weight: through autograd in its dtype or, if `gradient` [V, H] float (double for double) is
/// defined, added to that in the backward pass, which needs no second matrix of this size.
/// `placeholder`: an id whose rows the caller replaces, so that their gradient is zero and is
/// passed over; −1: none.
at::Tensor look_up(const at::Tensor& weight, const at::Tensor& ids, const at::Tensor& gradient = {},
                   int64_t placeholder = -1);

/// rows [V, H] of any dtype, ids as above → rows[ids], without a gradient.
at::Tensor take_rows(const at::Tensor& rows, const at::Tensor& ids);

}  // namespace caprl::ops
