#include <algorithm>
#include <array>
#include <cmath>

#include "caprl/core/error.h"
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

ImagePatches make_patches(const RgbImage& image, const PatchConfig& config) {
  const ImageSize size = smart_resize(image.width, image.height, config);
  const RgbImage resized = resize_bicubic(image, size.width, size.height);
  const auto table = normalisation_table(config);
  const int64_t p = config.patch_size, m = config.merge_size, t = config.temporal_patch_size;
  ImagePatches patches{1, size.height / p, size.width / p, 3 * t * p * p, {}};
  patches.values.reserve(patches.rows() * patches.columns);  // appended to: each byte written once

  std::vector<float> plane(p * p);
  const auto append_patch = [&](int64_t top, int64_t left) {  // columns (channel, time, y, x)
    for (int c = 0; c < 3; ++c) {
      for (int64_t y = 0; y < p; ++y) {
        const uint8_t* from = &resized.pixels[3 * ((top + y) * size.width + left) + c];
        for (int64_t x = 0; x < p; ++x) plane[y * p + x] = table[c][from[3 * x]];
      }
      for (int64_t repeat = 0; repeat < t; ++repeat)
        patches.values.insert(patches.values.end(), plane.begin(), plane.end());
    }
  };
  // Rows in merge-block order.
  for (int64_t block_y = 0; block_y < patches.grid_h; block_y += m)
    for (int64_t block_x = 0; block_x < patches.grid_w; block_x += m)
      for (int64_t y = block_y; y < block_y + m; ++y)
        for (int64_t x = block_x; x < block_x + m; ++x) append_patch(y * p, x * p);
  return patches;
}

}  // namespace caprl
