// The published recipes' keys of training; those of the reward are in caprl/reward/presets.h.
#pragma once
#include "caprl/reward/presets.h"

namespace caprl {

/// Keys outside section `reward`.
std::span<const PresetRow> training_presets();

}  // namespace caprl
