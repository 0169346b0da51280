// Frozen decoder layers that the ranks hold among them.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "caprl/dist/group.h"
#include "caprl/models/parameters.h"

namespace caprl {

/// The matrices of decoder layers, of which each rank holds a part; gathered some layers at a time
/// as a forward pass comes to them, the next ones while these compute (the gathering of ZeRO-3,
/// arXiv 1910.02054, section 5.3). So every rank takes part in every pass: see join_others(). One
/// thread at a time.
class LayerShards {
 public:
  /// Of the decoder layers among `specs`, `layers` of them gathered at a time.
  LayerShards(const LayerSharding& sharding, const std::vector<ParameterSpec>& specs,
              at::TensorOptions options);

  bool holds(const std::string& parameter) const { return places_.contains(parameter); }
  /// Without memory but within fill(), or after need() of its layer until the need() of another.
  at::Tensor values(const ParameterSpec& spec) const;
  /// `load` is to fill the values of `names`, some layers at a time, in order.
  void fill(const std::function<void(const std::vector<std::string>& names)>& load);

  /// A pass of this rank comes to `layer`; the layers of a pass are needed from 0 to the last.
  void need(int64_t layer);
  void end_pass();
  /// Takes part in the others' passes until no rank has any left. Every rank calls it as often, and
  /// may have made any number of passes before.
  void join_others();

  /// Bytes of this rank's part of all.
  int64_t held_bytes() const;

 private:
  struct Piece {
    std::vector<std::string> names;
    int64_t size = 0;     // values of all
    at::Tensor flat;      // [size]; its storage borrows what was gathered
    at::Tensor part;      // [padded / ranks], this rank's
    at::Tensor gathered;  // [padded], while it is on its way
    Pending arrival;
  };
  struct Place {
    size_t piece;
    int64_t offset;
  };
  bool any_rank_passes(bool this_one) const;
  void begin_gathering(size_t piece);
  void await(size_t piece);
  static void lend(Piece& piece, const at::Tensor& memory);
  static void take_back(Piece& piece);

  const Group& ranks_;
  int64_t layers_;
  std::vector<Piece> pieces_;
  std::unordered_map<std::string, Place> places_;
  int64_t current_ = -1;  // piece that is lent memory; −1: not within a pass
};

/// One forward pass through layers that may be sharded.
class LayerPass {
 public:
  explicit LayerPass(LayerShards* layers) : layers_(layers) {}
  ~LayerPass() {
    if (layers_) layers_->end_pass();
  }
  LayerPass(const LayerPass&) = delete;
  LayerPass& operator=(const LayerPass&) = delete;
  void need(int64_t layer) {
    if (layers_) layers_->need(layer);
  }

 private:
  LayerShards* layers_;  // null: all layers are here
};

}  // namespace caprl
