// AdamW over a flat run of parameters.
#pragma once
#include "kernels/math/adamw_math.h"
#include "kernels/stream.h"

namespace caprl::kernels {

/// adamw_update() of every parameter. Device pointers of any alignment that their types allow; wide
/// access where the floats begin at multiples of 16 bytes and the weights at multiples of 8.
void adamw(const AdamWRun& run, const AdamWTerms& terms, Stream stream);

}  // namespace caprl::kernels
