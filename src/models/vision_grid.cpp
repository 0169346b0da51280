#include "vision_grid.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "caprl/core/error.h"
#include "caprl/ops/upload.h"

namespace caprl {
namespace {

struct Window {
  std::vector<int64_t> blocks;
};

/// Windows of whole blocks from the top left corner; those at the right and bottom edge are what is
/// left.
std::vector<Window> cut_windows(int64_t rows, int64_t columns, int64_t side) {
  std::vector<Window> windows;
  for (int64_t top = 0; top < rows; top += side) {
    for (int64_t left = 0; left < columns; left += side) {
      Window& window = windows.emplace_back();
      for (int64_t row = top; row < std::min(top + side, rows); ++row)
        for (int64_t column = left; column < std::min(left + side, columns); ++column)
          window.blocks.push_back(row * columns + column);
    }
  }
  return windows;
}

/// Angles of each patch: its row with the first half of the frequencies' places, its column with
/// the second.
ops::RotaryTable patch_table(const std::vector<int64_t>& blocks, int64_t block_columns,
                             const GridOptions& options) {
  const int64_t merge = options.merge_size;
  std::vector<int64_t> places;  // row, column of every patch
  for (const int64_t block : blocks)
    for (int64_t row = 0; row < merge; ++row)
      for (int64_t column = 0; column < merge; ++column)
        places.insert(places.end(), {block / block_columns * merge + row,
                                     block % block_columns * merge + column});
  const at::Tensor coordinates =
      at::tensor(places, at::kLong)
          .view({-1, 2, 1})
          .to(options.table.device(), options.table.dtype().toScalarType());
  const at::Tensor frequencies =
      ops::inverse_frequencies(options.head_dim / 2, options.rope_theta, options.table);
  const at::Tensor angles = (coordinates * frequencies).flatten(1);
  return {angles.cos(), angles.sin()};
}

}  // namespace

GridPlan::GridPlan(int64_t grid_h, int64_t grid_w, const GridOptions& options)
    : patches(grid_h * grid_w) {
  const int64_t rows = grid_h / options.merge_size, columns = grid_w / options.merge_size;
  std::vector<Window> cut = cut_windows(rows, columns, options.window_blocks);
  std::stable_sort(cut.begin(), cut.end(), [](const Window& a, const Window& b) {
    return a.blocks.size() > b.blocks.size();
  });
  for (const Window& window : cut) {
    const auto size =
        static_cast<int64_t>(window.blocks.size()) * options.merge_size * options.merge_size;
    if (windows.empty() || windows.back().patches != size) windows.push_back({0, size});
    ++windows.back().count;
    blocks.insert(blocks.end(), window.blocks.begin(), window.blocks.end());
  }
  table = patch_table(blocks, columns, options);
}

std::shared_ptr<const GridPlan> GridCache::get(int64_t grid_h, int64_t grid_w) const {
  const std::lock_guard lock(mutex_);
  auto& plan = plans_[{grid_h, grid_w}];
  if (!plan) {
    auto made = std::make_shared<const GridPlan>(grid_h, grid_w, options_);
    if (plans_.size() > kMaxPlans) plans_.clear();
    return plans_[{grid_h, grid_w}] = std::move(made);
  }
  return plan;
}

ImageBatch::ImageBatch(std::span<const std::array<int64_t, 3>> grids, const GridCache& cache,
                       int64_t merge_size, at::Device device)
    : merge_size(merge_size) {
  std::vector<int64_t> first_block{0};
  std::map<std::pair<int64_t, int64_t>, std::vector<size_t>> by_size;
  for (size_t i = 0; i < grids.size(); ++i) {
    const auto [t, h, w] = grids[i];
    by_size[{h, w}].push_back(i);
    first_block.push_back(first_block.back() + h * w / (merge_size * merge_size));
    num_patches += h * w;
  }
  std::vector<int64_t> places;
  for (const auto& [size, images] : by_size) {
    const auto plan = cache.get(size.first, size.second);
    groups.push_back({plan, static_cast<int64_t>(images.size())});
    for (const size_t image : images)
      for (const int64_t block : plan->blocks) places.push_back(first_block[image] + block);
  }
  if (std::is_sorted(places.begin(), places.end())) return;
  std::vector<int64_t> back(places.size());
  for (size_t i = 0; i < places.size(); ++i) back[places[i]] = static_cast<int64_t>(i);
  order = ops::upload(places, device);
  inverse = ops::upload(back, device);
}

at::Tensor ImageBatch::arrange(const at::Tensor& patches_PH) const {
  if (!order.defined()) return patches_PH;
  const int64_t width = patches_PH.size(1);
  return patches_PH.view({-1, merge_size * merge_size, width})
      .index_select(0, order)
      .view({-1, width});
}

at::Tensor ImageBatch::restore(const at::Tensor& blocks_MH) const {
  return inverse.defined() ? blocks_MH.index_select(0, inverse) : blocks_MH;
}

void check_patches(const at::Tensor& pixel_values, int64_t patches, int64_t columns) {
  if (pixel_values.dim() != 2 || pixel_values.size(0) != patches)
    throw Error("[vision tower] expected {} patches, got {}", patches, pixel_values.size(0));
  if (pixel_values.size(1) != columns)
    throw InputError(
        "the vision tower reads patches of {} values, got {}: preprocessor_config.json and "
        "config.json do not belong together",
        columns, pixel_values.size(1));
}

ops::RotaryTable ImageBatch::table() const {
  std::vector<at::Tensor> cos, sin;
  for (const Group& group : groups) {
    cos.push_back(group.plan->table.cos.repeat({group.count, 1}));
    sin.push_back(group.plan->table.sin.repeat({group.count, 1}));
  }
  return {at::cat(cos), at::cat(sin)};
}

}  // namespace caprl
