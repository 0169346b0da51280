// The two parts of a pass: a vision tower and the decoder (models/pass_memory.h).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "caprl/models/pass_memory.h"

namespace caprl {

/// What of a model has gradients.
class TrainedModules {
 public:
  explicit TrainedModules(const ModelDescription& model) : model_(model) {}
  /// Any parameter that begins so.
  bool any(std::string_view prefix) const;
  /// "model.layers.0.mlp.up_proj"; with a dot at its end all that begins so.
  ops::LinearUse linear(const std::string& module) const;

 private:
  const ModelDescription& model_;
};

struct PartOfPass {
  const PassShape& shape;
  const PassSetting& setting;
  const TrainedModules& trained;
};
struct PartMemory {
  ops::OpMemory training;
  double reading = 0;  // without a graph, at most
};

/// An operation that the gradient of hidden states of so many bytes goes round.
ops::OpMemory with_residual(ops::OpMemory memory, double states);
/// A feed-forward with its input of so many bytes, as the setting keeps it.
ops::OpMemory fed_forward(const PassSetting& setting, const ops::OpMemory& inside, double states);

/// The decoder of src/models/decoder.cpp.
struct DecoderShape {
  double layers = 0, hidden = 0, inner = 0;
  ops::HeadShape heads;
  bool qk_norm = false, packed_qkv = false;
  double deep = 0;  // layers whose results images are added to (DeepStack)
};
PartMemory decoder_memory(const DecoderShape& decoder, const PartOfPass& pass);

/// A vision tower, whatever its blocks are.
struct TowerShape {
  double depth = 0, hidden = 0, inner = 0;
  double columns = 0;  // of a patch's pixels
  double mergers = 0, merged = 0, merger_inner = 0, out = 0;
  double patches_per_feature = 4;
  bool gated = false;       // RMS norms, a gated feed-forward, windows
  bool rotated = false;     // queries and keys, by the patches' places
  bool scaled = false;      // what each half of a block adds
  bool quick_gelu = false;  // the activation
  std::string qkv, proj, fc1, fc2;
};
PartMemory tower_memory(const TowerShape& tower, const PartOfPass& pass);

}  // namespace caprl
