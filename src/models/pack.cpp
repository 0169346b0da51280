#include <ATen/ATen.h>

#include "caprl/core/error.h"
#include "caprl/models/model.h"
#include "caprl/ops/upload.h"

namespace caprl {
namespace {

void check_image(const ImagePatches& image, int64_t columns, int64_t merge_size) {
  if (image.grid_t < 1 || image.grid_h < merge_size || image.grid_w < merge_size ||
      image.grid_h % merge_size != 0 || image.grid_w % merge_size != 0)
    throw InputError("expected an image of 1 × {}m × {}n patches, got {} × {} × {}", merge_size,
                     merge_size, image.grid_t, image.grid_h, image.grid_w);
  if (image.columns != columns ||
      image.values.size() != static_cast<size_t>(image.rows() * image.columns))
    throw Error("[pack] expected {} × {} patch values, got {}", image.rows(), columns,
                image.values.size());
}

/// Found on the host, which would wait for a GPU that looks for them.
std::vector<int64_t> places_of(std::optional<int64_t> id, const std::vector<int64_t>& ids) {
  std::vector<int64_t> places;
  for (size_t i = 0; i < ids.size(); ++i)
    if (id == ids[i]) places.push_back(static_cast<int64_t>(i));
  return places;
}

/// As `options` have it: rounded here, fewer bytes are on their way to a GPU.
at::Tensor pack_pixels(std::span<const BranchedSequence> trees, int64_t merge_size,
                       at::TensorOptions options, std::vector<std::array<int64_t, 3>>& grids) {
  int64_t rows = 0, columns = 0;
  for (const BranchedSequence& tree : trees) {
    for (const auto& image : tree.prefix.images) {
      if (grids.empty()) columns = image->columns;
      check_image(*image, columns, merge_size);
      grids.push_back({image->grid_t, image->grid_h, image->grid_w});
      rows += image->rows();
    }
  }
  if (grids.empty()) return {};
  at::Tensor pixels = at::empty({rows, columns}, options);
  int64_t first = 0;
  for (const BranchedSequence& tree : trees)
    for (const auto& image : tree.prefix.images) {
      // By all threads: a GPU may be waiting for them.
      at::Tensor part = pixels.narrow(0, first, image->rows());
      part.copy_(at::from_blob(const_cast<float*>(image->values.data()), part.sizes(), at::kFloat));
      first += image->rows();
    }
  return pixels;
}

}  // namespace

int64_t BranchedLayout::Tree::size() const {
  int64_t total = prefix;
  for (const int64_t length : branch_lengths) total += length;
  return total;
}

BranchedBatch pack(std::span<const BranchedSequence> trees, const Model& model) {
  const at::Device device = model.head_weight().device();
  BranchedBatch batch;
  std::vector<int64_t> ids;
  std::vector<std::array<int64_t, 3>> places;
  for (const BranchedSequence& tree : trees) {
    if (tree.prefix.ids.empty()) throw Error("[pack] a prefix is empty");
    auto& layout = batch.layout.trees.emplace_back();
    layout.begin = static_cast<int64_t>(ids.size());
    layout.prefix = static_cast<int64_t>(tree.prefix.ids.size());
    const Model::Positions prefix = model.positions(tree.prefix);
    ids.insert(ids.end(), tree.prefix.ids.begin(), tree.prefix.ids.end());
    places.insert(places.end(), prefix.tokens.begin(), prefix.tokens.end());
    for (const auto& branch : tree.branches) {
      layout.branch_lengths.push_back(static_cast<int64_t>(branch.size()));
      ids.insert(ids.end(), branch.begin(), branch.end());
      for (int64_t t = 0; t < static_cast<int64_t>(branch.size()); ++t)
        places.push_back({prefix.next + t, prefix.next + t, prefix.next + t});
    }
  }
  for (const int64_t id : ids)
    if (id < 0 || id >= model.traits().vocab_size)
      throw Error("[pack] token id {} is outside the vocabulary of {}", id,
                  model.traits().vocab_size);
  batch.layout.num_tokens = static_cast<int64_t>(ids.size());
  batch.ids = ops::upload(ids, device);
  batch.positions = ops::upload_columns(places, device);
  if (const auto image_places = places_of(model.traits().image_token_id, ids);
      !image_places.empty())
    batch.image_places = ops::upload(image_places, device);
  const auto on_host = at::TensorOptions(model.head_weight().scalar_type());
  batch.pixel_values = pack_pixels(trees, model.traits().merge_size,
                                   on_host.pinned_memory(device.is_cuda()), batch.grids);
  if (batch.pixel_values.defined())
    batch.pixel_values = batch.pixel_values.to(device, /*non_blocking=*/true);
  return batch;
}

}  // namespace caprl
