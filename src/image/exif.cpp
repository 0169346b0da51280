#include "exif.h"
#include "make_image.h"

#include <cstdint>

namespace caprl {
namespace {

constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kShort = 3, kLong = 4;  // TIFF field types

/// Unsigned numbers of a TIFF block; absent beyond its end.
class TiffReader {
 public:
  TiffReader(std::string_view block, bool big_endian) : block_(block), big_endian_(big_endian) {}

  std::optional<uint32_t> number(uint64_t offset, int num_bytes) const {
    if (offset + num_bytes > block_.size()) return std::nullopt;
    uint32_t value = 0;
    for (int i = 0; i < num_bytes; ++i) {
      const int place = big_endian_ ? i : num_bytes - 1 - i;
      value = value << 8 | static_cast<uint8_t>(block_[offset + place]);
    }
    return value;
  }

 private:
  std::string_view block_;
  bool big_endian_;
};

}  // namespace

std::optional<int> exif_orientation(std::string_view block) {
  constexpr std::string_view kHeader("Exif\0\0", 6);
  for (int i = 0; i < 2 && block.starts_with(kHeader); ++i) block.remove_prefix(kHeader.size());
  if (!block.starts_with("II") && !block.starts_with("MM")) return std::nullopt;
  const TiffReader reader(block, block.starts_with("MM"));
  if (reader.number(2, 2) != 42u) return std::nullopt;
  const auto directory = reader.number(4, 4);
  if (!directory) return std::nullopt;
  const uint32_t num_entries = reader.number(*directory, 2).value_or(0);
  for (uint32_t i = 0; i < num_entries; ++i) {
    const uint64_t entry = uint64_t{*directory} + 2 + 12 * i;
    const auto tag = reader.number(entry, 2);
    if (!tag) return std::nullopt;
    if (*tag != kOrientationTag) continue;
    const auto type = reader.number(entry + 2, 2);
    const auto count = reader.number(entry + 4, 4);
    if (count != 1u || (type != kShort && type != kLong)) return std::nullopt;
    const auto value = reader.number(entry + 8, type == kShort ? 2 : 4);
    if (!value || *value > 8) return std::nullopt;
    return static_cast<int>(*value);
  }
  return std::nullopt;
}

std::optional<int> xmp_orientation(std::string_view packet) {
  constexpr std::string_view kKey = "tiff:Orientation";
  for (size_t at = packet.find(kKey); at != std::string_view::npos;
       at = packet.find(kKey, at + 1)) {
    std::string_view rest = packet.substr(at + kKey.size());
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with(">")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return std::nullopt;
}

int image_orientation(std::string_view exif, std::string_view xmp) {
  if (const auto orientation = exif_orientation(exif)) return *orientation;
  return xmp_orientation(xmp).value_or(1);
}

RgbImage apply_orientation(RgbImage image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const int64_t width = image.width, height = image.height;
  const bool swaps = orientation >= 5;  // rows become columns
  const bool flips_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool flips_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  RgbImage upright = make_image(swaps ? height : width, swaps ? width : height);
  uint8_t* to = upright.pixels.data();
  for (int64_t y = 0; y < upright.height; ++y) {
    for (int64_t x = 0; x < upright.width; ++x, to += 3) {
      int64_t from_x = swaps ? y : x, from_y = swaps ? x : y;
      if (flips_x) from_x = width - 1 - from_x;
      if (flips_y) from_y = height - 1 - from_y;
      const uint8_t* from = &image.pixels[3 * (from_y * width + from_x)];
      to[0] = from[0], to[1] = from[1], to[2] = from[2];
    }
  }
  return upright;
}

}  // namespace caprl
