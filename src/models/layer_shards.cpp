#include "layer_shards.h"

#include <ATen/ATen.h>

#include <charconv>
#include <optional>

#include "caprl/core/error.h"

namespace caprl {
namespace {

/// The decoder layer that a matrix belongs to, if any. Norms and biases are small and some are used
/// together with the layer before.
std::optional<int64_t> layer_of(const ParameterSpec& spec) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!spec.name.starts_with(kPrefix) || spec.shape.size() < 2) return std::nullopt;
  int64_t layer = 0;
  std::from_chars(spec.name.data() + kPrefix.size(), spec.name.data() + spec.name.size(), layer);
  return layer;
}

}  // namespace

LayerShards::LayerShards(const LayerSharding& sharding, const std::vector<ParameterSpec>& specs,
                         at::TensorOptions options)
    : ranks_(*sharding.ranks), layers_(sharding.layers) {
  for (const ParameterSpec& spec : specs) {
    const auto layer = layer_of(spec);
    if (!layer) continue;
    const auto index = static_cast<size_t>(*layer / layers_);
    if (index >= pieces_.size()) pieces_.resize(index + 1);
    Piece& piece = pieces_[index];
    piece.names.push_back(spec.name);
    places_[spec.name] = {index, piece.size};
    piece.size += spec.num_values();
  }
  const int64_t ranks = ranks_.size();
  for (Piece& piece : pieces_) {
    piece.part = at::zeros({(piece.size + ranks - 1) / ranks}, options);
    const auto bytes = static_cast<size_t>(piece.size) * piece.part.element_size();
    const at::Storage without_memory(at::Storage::use_byte_size_t(), bytes,
                                     at::DataPtr(nullptr, piece.part.device()));
    piece.flat = at::empty({0}, options).set_(without_memory, 0, {piece.size}, {1});
  }
}

at::Tensor LayerShards::values(const ParameterSpec& spec) const {
  const Place& place = places_.at(spec.name);
  return pieces_[place.piece].flat.narrow(0, place.offset, spec.num_values()).view(spec.shape);
}

void LayerShards::fill(const std::function<void(const std::vector<std::string>&)>& load) {
  for (Piece& piece : pieces_) {
    const at::Tensor whole = at::zeros({piece.part.numel() * ranks_.size()}, piece.part.options());
    lend(piece, whole);
    load(piece.names);
    take_back(piece);
    piece.part.copy_(whole.narrow(0, ranks_.rank() * piece.part.numel(), piece.part.numel()));
  }
}

void LayerShards::lend(Piece& piece, const at::Tensor& memory) {
  piece.flat.storage().set_data_ptr_noswap(
      {memory.data_ptr(), new at::Tensor(memory),
       [](void* owner) { delete static_cast<at::Tensor*>(owner); }, memory.device()});
}

void LayerShards::take_back(Piece& piece) {
  piece.flat.storage().set_data_ptr_noswap({nullptr, piece.part.device()});
}

bool LayerShards::any_rank_passes(bool this_one) const {
  for (const auto& flag : gather_numbers(ranks_, {this_one ? 1.0 : 0.0}))
    if (flag[0] > 0) return true;
  return false;
}

void LayerShards::begin_gathering(size_t index) {
  if (index >= pieces_.size()) return;
  Piece& piece = pieces_[index];
  piece.gathered = at::empty({piece.part.numel() * ranks_.size()}, piece.part.options());
  piece.arrival = ranks_.all_gather(piece.gathered, piece.part);
}

void LayerShards::await(size_t index) {
  Piece& piece = pieces_[index];
  piece.arrival.wait();
  lend(piece, std::exchange(piece.gathered, at::Tensor()));
}

void LayerShards::need(int64_t layer) {
  const int64_t index = layer / layers_;
  if (index == current_) return;
  if (index != current_ + 1) throw Error("[layer shards] layer {} is needed out of turn", layer);
  if (index == 0) {
    any_rank_passes(true);
    begin_gathering(0);
  } else {
    take_back(pieces_[static_cast<size_t>(current_)]);
  }
  await(static_cast<size_t>(index));
  begin_gathering(static_cast<size_t>(index + 1));
  current_ = index;
}

void LayerShards::end_pass() {
  if (current_ >= 0) take_back(pieces_[static_cast<size_t>(current_)]);
  current_ = -1;
}

void LayerShards::join_others() {
  while (any_rank_passes(false)) {
    begin_gathering(0);
    for (size_t i = 0; i < pieces_.size(); ++i) {
      await(i);
      begin_gathering(i + 1);
      take_back(pieces_[i]);
    }
  }
}

int64_t LayerShards::held_bytes() const {
  int64_t bytes = 0;
  for (const Piece& piece : pieces_) bytes += static_cast<int64_t>(piece.part.nbytes());
  return bytes;
}

}  // namespace caprl
