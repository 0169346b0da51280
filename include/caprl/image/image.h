// Image files to RGB pixels, RGB pixels to the patches that a vision tower reads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

struct RgbImage {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> pixels;  // [height, width, 3]
};

/// JPEG, PNG or WebP (by content) to RGB as Pillow's convert("RGB") does: alpha dropped, grey and
/// palette expanded, CMYK converted, 16-bit reduced, EXIF orientation applied, the first frame of
/// an animation. `name` is for messages. InputError for anything unreadable, truncated, empty, or
/// above `max_pixels`.
RgbImage decode_image(std::span<const std::byte> bytes, std::string_view name,
                      int64_t max_pixels = 178'956'970);
RgbImage load_image(const std::filesystem::path& path);

/// The bytes of a JPEG file; `quality` 1 … 100. Error if the library fails.
std::string encode_jpeg(const RgbImage& image, int quality);

struct ImageSize {
  int64_t width, height;
};
/// Of an image file, by its header alone: the pixels may still turn out to be unreadable, and EXIF
/// orientation may swap width and height. InputError as decode_image().
ImageSize stored_size(std::span<const std::byte> bytes, std::string_view name,
                      int64_t max_pixels = 178'956'970);

/// Bicubic resize equal to Pillow 13's, bit for bit (two 22-bit fixed-point passes, 8-bit between
/// them). Earlier versions always resize rows first; Pillow 13 and this function start with the
/// columns where the height shrinks by much more.
RgbImage resize_bicubic(const RgbImage& image, int64_t width, int64_t height);

/// How a model's image processor makes patches: the Qwen kind (smart_resize), or the InternVL kind
/// (square tiles and a thumbnail) where tile_size is set.
struct PatchConfig {
  int64_t patch_size = 14;
  int64_t temporal_patch_size = 2;
  int64_t merge_size = 2;
  int64_t min_pixels = 3136;
  int64_t max_pixels = 12'845'056;
  float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f};
  float std[3] = {0.26862954f, 0.26130258f, 0.27577711f};
  int64_t tile_size = 0;  // side in pixels; 0: no tiles
  int64_t min_tiles = 1, max_tiles = 12;
  bool use_thumbnail = true;  // the whole image as a last tile, unless it is the only one

  /// Reads DIR/preprocessor_config.json, or the image processor's part of processor_config.json
  /// where there is one; of InternVL also DIR/config.json. InputError names file and key for
  /// another kind of processor, ill-typed values and switched-off steps.
  static PatchConfig load(const std::filesystem::path& model_dir);
};

/// Qwen's smart_resize: multiples of patch_size·merge_size within [min_pixels, max_pixels]; rounds
/// half to even. InputError if the aspect ratio is above 200.
ImageSize smart_resize(int64_t width, int64_t height, const PatchConfig& config);

/// Columns (width) and rows (height) of tiles whose aspect ratio is nearest to the image's, as
/// transformers' GotOcr2ImageProcessor and InternVL's dynamic_preprocess choose them.
ImageSize choose_tiles(int64_t width, int64_t height, const PatchConfig& config);

/// One image as rows of flattened patches in merge-block order: (t, h/m, w/m, m, m) × (C, T, p, p).
/// Tiles are the steps of t; their patches are in raster order, and C · T · p · p is C · p · p.
struct ImagePatches {
  int64_t grid_t = 0, grid_h = 0, grid_w = 0;  // in patches
  int64_t columns = 0;                         // C · temporal_patch_size · patch_size²
  std::vector<float> values;                   // [grid_t · grid_h · grid_w, columns], normalised

  int64_t rows() const { return grid_t * grid_h * grid_w; }
  int64_t tokens(int64_t merge_size) const { return rows() / (merge_size * merge_size); }
};
/// Resized by smart_resize (or cut into tiles) and resize_bicubic, then (value / 255 − mean) / std:
/// the same floats as transformers' NumPy processor gives. A still image is repeated
/// temporal_patch_size times.
ImagePatches make_patches(const RgbImage& image, const PatchConfig& config);
/// Rows that make_patches() gives for an image of this size.
int64_t count_patches(ImageSize size, const PatchConfig& config);

}  // namespace caprl
