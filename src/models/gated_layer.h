// What a decoder's layers and a vision tower's blocks with RMS norms and a gated feed-forward have
// in common.
#pragma once
#include <functional>

#include "caprl/ops/gated_half.h"

namespace caprl {

using ops::LayerStates;

/// compute(states), again for the backward pass (ops::recomputed).
LayerStates computed_again(std::function<LayerStates(const LayerStates&)> compute,
                           const LayerStates& states, bool trained);

}  // namespace caprl
