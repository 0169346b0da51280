// Torch's names of the safetensors dtypes.
#pragma once
#include <c10/core/ScalarType.h>

#include <optional>

#include "safetensors_header.h"

namespace caprl::safetensors {

at::ScalarType scalar_type(Dtype dtype);
/// Nothing for types that the format cannot hold (complex, quantised …).
std::optional<Dtype> dtype_of(at::ScalarType type);

}  // namespace caprl::safetensors
