// The values that a model begins with.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "caprl/models/parameters.h"

namespace caprl {

/// Float: matrices normal(0, deviation) by numbers of (seed, name, place), norms one, biases zero.
at::Tensor random_values(const ParameterSpec& spec, double deviation, uint64_t seed);

}  // namespace caprl
