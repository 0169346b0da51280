// Where a model directory keeps the parameters of its architecture.
#pragma once
#include <string>
#include <unordered_map>

#include "architecture.h"
#include "caprl/io/weight_files.h"

namespace caprl {

using SourceNames = std::unordered_map<std::string, std::string>;  // canonical → stored

/// InputError if two stored tensors are the same parameter.
SourceNames find_sources(const Architecture& architecture, const WeightFiles& weights);

}  // namespace caprl
