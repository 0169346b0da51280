// One decoder per file format. Each decodes a whole file, already known by its first bytes, and
// gives the pixels as stored.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "caprl/image/image.h"

namespace caprl {

/// A file in memory and what to call it in messages.
struct EncodedImage {
  std::span<const std::byte> bytes;
  std::string_view name;
  int64_t max_pixels;

  const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(bytes.data()); }
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

struct DecodedImage {
  RgbImage image;
  int orientation = 1;  // EXIF 1 … 8
};

/// InputError for an image without pixels or above the limit; called before anything of its size is
/// allocated.
void check_size(const EncodedImage& file, int64_t width, int64_t height);

DecodedImage decode_jpeg(const EncodedImage& file);
DecodedImage decode_png(const EncodedImage& file);
DecodedImage decode_webp(const EncodedImage& file);

/// As the header says.
ImageSize jpeg_size(const EncodedImage& file);
ImageSize png_size(const EncodedImage& file);
ImageSize webp_size(const EncodedImage& file);

}  // namespace caprl
