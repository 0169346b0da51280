// What this machine reaches, measured in a moment.
#pragma once
#include <ATen/core/Tensor.h>

#include "caprl/train/step_model.h"

namespace caprl {

/// Speeds of products [tokens, hidden] · [hidden, 4 · hidden] of that dtype, and of reading memory;
/// the memory that is free now, shared by `processes` of this machine on a CPU. Links are not
/// measured: between GPUs NVLink's are assumed, between processes of a CPU the memory's.
MachineSpeeds measure_machine(at::Device device, at::ScalarType dtype, int64_t tokens,
                              int64_t hidden, int processes);

}  // namespace caprl
