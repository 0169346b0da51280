#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "caprl/core/error.h"
#include "caprl/core/memory.h"
#include "caprl/image/image.h"

namespace caprl {
namespace {

constexpr double kMaxAspectRatio = 200;
constexpr int64_t kMaxSide = int64_t{1} << 24;  // products of two stay far from overflow

/// Normalised value of every byte, per channel, in the order of operations of the NumPy processor:
/// rescaled in double, rounded to float, then mean and deviation in float.
std::array<std::array<float, 256>, 3> normalisation_table(const PatchConfig& config) {
  std::array<std::array<float, 256>, 3> table;
  for (int c = 0; c < 3; ++c) {
    for (int value = 0; value < 256; ++value) {
      const auto rescaled = static_cast<float>(value * (1.0 / 255.0));
      table[c][value] = (rescaled - config.mean[c]) / config.std[c];
    }
  }
  return table;
}

/// Appends patches, cut out of a resized image and normalised: columns (channel, time, y, x).
class PatchWriter {
 public:
  PatchWriter(const PatchConfig& config, int64_t repeats, ImagePatches& patches)
      : side_(config.patch_size),
        repeats_(repeats),
        table_(normalisation_table(config)),
        plane_(side_ * side_),
        patches_(patches) {
    patches.columns = 3 * repeats * side_ * side_;
    reserve_large(patches.values, patches.rows() * patches.columns);
  }

  void append(const RgbImage& image, int64_t top, int64_t left) {
    for (int c = 0; c < 3; ++c) {
      for (int64_t y = 0; y < side_; ++y) {
        const uint8_t* from = &image.pixels[3 * ((top + y) * image.width + left) + c];
        for (int64_t x = 0; x < side_; ++x) plane_[y * side_ + x] = table_[c][from[3 * x]];
      }
      for (int64_t repeat = 0; repeat < repeats_; ++repeat)
        patches_.values.insert(patches_.values.end(), plane_.begin(), plane_.end());
    }
  }

 private:
  int64_t side_, repeats_;
  std::array<std::array<float, 256>, 3> table_;
  std::vector<float> plane_;
  ImagePatches& patches_;
};

/// Rows in merge-block order.
ImagePatches whole_image(const RgbImage& image, const PatchConfig& config) {
  const ImageSize size = smart_resize(image.width, image.height, config);
  const RgbImage resized = resize_bicubic(image, size.width, size.height);
  const int64_t p = config.patch_size, m = config.merge_size;
  ImagePatches patches{1, size.height / p, size.width / p, 0, {}};
  PatchWriter writer(config, config.temporal_patch_size, patches);
  for (int64_t block_y = 0; block_y < patches.grid_h; block_y += m)
    for (int64_t block_x = 0; block_x < patches.grid_w; block_x += m)
      for (int64_t y = block_y; y < block_y + m; ++y)
        for (int64_t x = block_x; x < block_x + m; ++x) writer.append(resized, y * p, x * p);
  return patches;
}

bool has_thumbnail(ImageSize grid, const PatchConfig& config) {
  return config.use_thumbnail && grid.width * grid.height > 1;
}

/// Tiles row by row, then the thumbnail; patches of a tile in raster order.
ImagePatches tiles(const RgbImage& image, const PatchConfig& config) {
  const int64_t side = config.tile_size, p = config.patch_size;
  const ImageSize grid = choose_tiles(image.width, image.height, config);
  const bool thumbnail = has_thumbnail(grid, config);
  ImagePatches patches{grid.width * grid.height + thumbnail, side / p, side / p, 0, {}};
  PatchWriter writer(config, 1, patches);
  const auto append_tile = [&](const RgbImage& from, int64_t top, int64_t left) {
    for (int64_t y = 0; y < side; y += p)
      for (int64_t x = 0; x < side; x += p) writer.append(from, top + y, left + x);
  };
  const RgbImage resized = resize_bicubic(image, grid.width * side, grid.height * side);
  for (int64_t row = 0; row < grid.height; ++row)
    for (int64_t column = 0; column < grid.width; ++column)
      append_tile(resized, row * side, column * side);
  if (thumbnail) append_tile(resize_bicubic(image, side, side), 0, 0);
  return patches;
}

}  // namespace

ImageSize smart_resize(int64_t width, int64_t height, const PatchConfig& config) {
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide)
    throw InputError("an image of {} x {} pixels cannot be resized", width, height);
  const double aspect =
      static_cast<double>(std::max(width, height)) / static_cast<double>(std::min(width, height));
  if (aspect > kMaxAspectRatio)
    throw InputError(
        "an image of {} x {} pixels has an aspect ratio of {:.4g}, the limit is {:.0f}", width,
        height, aspect, kMaxAspectRatio);
  const auto factor = static_cast<double>(config.patch_size * config.merge_size);
  const auto area = static_cast<double>(width) * static_cast<double>(height);
  const auto multiple = [&](double units) { return static_cast<int64_t>(units * factor); };
  ImageSize size{multiple(std::nearbyint(width / factor)),
                 multiple(std::nearbyint(height / factor))};
  if (size.width * size.height > config.max_pixels) {
    const double beta = std::sqrt(area / static_cast<double>(config.max_pixels));
    size.width = multiple(std::max(1.0, std::floor(width / beta / factor)));
    size.height = multiple(std::max(1.0, std::floor(height / beta / factor)));
  } else if (size.width * size.height < config.min_pixels) {
    const double beta = std::sqrt(static_cast<double>(config.min_pixels) / area);
    size.width = multiple(std::ceil(width * beta / factor));
    size.height = multiple(std::ceil(height * beta / factor));
  }
  return size;
}

ImageSize choose_tiles(int64_t width, int64_t height, const PatchConfig& config) {
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide)
    throw InputError("an image of {} x {} pixels cannot be resized", width, height);
  const double aspect = static_cast<double>(width) / static_cast<double>(height);
  const double area = static_cast<double>(width) * static_cast<double>(height);
  const auto tile_area = static_cast<double>(config.tile_size * config.tile_size);
  double nearest = std::numeric_limits<double>::infinity();
  ImageSize best{1, 1};
  for (int64_t count = config.min_tiles; count <= config.max_tiles; ++count) {
    for (int64_t columns = 1; columns <= count; ++columns) {
      if (count % columns != 0) continue;
      const int64_t rows = count / columns;
      const double distance =
          std::abs(aspect - static_cast<double>(columns) / static_cast<double>(rows));
      // Of equally near ones the larger, as long as the image fills half of it.
      const bool fills = area > 0.5 * tile_area * static_cast<double>(count);
      if (distance < nearest || (distance == nearest && fills)) best = {columns, rows};
      nearest = std::min(nearest, distance);
    }
  }
  return best;
}

ImagePatches make_patches(const RgbImage& image, const PatchConfig& config) {
  return config.tile_size > 0 ? tiles(image, config) : whole_image(image, config);
}

int64_t count_patches(ImageSize size, const PatchConfig& config) {
  const auto patches = [&](int64_t width, int64_t height) {
    return width / config.patch_size * (height / config.patch_size);
  };
  if (config.tile_size > 0) {
    const ImageSize grid = choose_tiles(size.width, size.height, config);
    return (grid.width * grid.height + has_thumbnail(grid, config)) *
           patches(config.tile_size, config.tile_size);
  }
  const ImageSize resized = smart_resize(size.width, size.height, config);
  return patches(resized.width, resized.height);
}

}  // namespace caprl
