// Σ x² of a flat buffer, as gradient norms need it.
#pragma once
#include <cstdint>

#include "kernels/stream.h"

namespace caprl::kernels {

/// Doubles of workspace that squared_norm needs for `size` values.
int64_t squared_norm_workspace(int64_t size);

/// *result = Σ x² in double precision, every square exact; 0 for an empty buffer. The order of the
/// sum depends on `size` and on whether `values` is 16-byte aligned alone, so the result repeats to
/// the bit. NaN or infinity among the values makes it NaN or infinity. Device pointers;
/// `values` of any alignment, wide access where it is 16 bytes. `workspace` is overwritten.
void squared_norm(const float* values, int64_t size, double* workspace, double* result,
                  Stream stream);

}  // namespace caprl::kernels
