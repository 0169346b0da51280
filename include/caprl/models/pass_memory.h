// What a pass through a model holds beside the weights, on paper.
#pragma once
#include "caprl/models/model.h"
#include "caprl/ops/memory.h"

namespace caprl {

/// Groups of one pass, with their images.
struct PassShape : ops::GroupShape {
  double patches = 0;  // of all images
};

struct PassSetting : ops::MemorySetting {
  ops::Recompute recompute = ops::Recompute::kNone;
};

/// Bytes.
struct PassMemory {
  ops::OpMemory training;  // from patches and ids to final hidden states, and back
  /// Without a graph, at most: the tokens through the decoder; the images through the tower.
  double reading = 0, seeing = 0;
};

/// By the names and shapes of the model's parameters, and by which of them are trained.
PassMemory pass_memory(const ModelDescription& model, const PassShape& shape,
                       const PassSetting& setting);

}  // namespace caprl
