#include <array>
#include <utility>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/pulse.h"
#include "caprl/image/image.h"
#include "codecs.h"
#include "exif.h"

namespace caprl {
namespace {

using namespace std::literals;

/// What a file of another kind is, for the message.
std::string_view other_format(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kPrefixes = {{
      {"GIF8"sv, "a GIF file"},
      {"BM"sv, "a BMP file"},
      {"II*\0"sv, "a TIFF file"},
      {"MM\0*"sv, "a TIFF file"},
      {"version https://git-lfs"sv, "a Git LFS pointer, whose content was not fetched"},
      {"<"sv, "text (HTML, XML or SVG)"},
  }};
  for (const auto& [prefix, name] : kPrefixes)
    if (text.starts_with(prefix)) return name;
  if (text.size() >= 12 && text.substr(4, 4) == "ftyp") return "an AVIF, HEIC or video file";
  return "no known image format";
}

struct Codec {
  DecodedImage (*decode)(const EncodedImage& file);
  ImageSize (*size)(const EncodedImage& file);
};

Codec codec_of(const EncodedImage& file) {
  const std::string_view text = file.text();
  if (text.empty()) throw InputError("{}: the image file is empty", file.name);
  if (text.starts_with("\xFF\xD8\xFF"sv)) return {decode_jpeg, jpeg_size};
  if (text.starts_with("\x89PNG\r\n\x1A\n"sv)) return {decode_png, png_size};
  if (text.size() >= 12 && text.starts_with("RIFF") && text.substr(8, 4) == "WEBP")
    return {decode_webp, webp_size};
  throw InputError("{}: expected a JPEG, PNG or WebP image, got {}", file.name, other_format(text));
}

}  // namespace

void check_size(const EncodedImage& file, int64_t width, int64_t height) {
  if (width < 1 || height < 1)
    throw InputError("{}: the image is {} x {} pixels", file.name, width, height);
  if (width > file.max_pixels / height)
    throw InputError("{}: the image is {} x {} = {} pixels, the limit is {}", file.name, width,
                     height, width * height, file.max_pixels);
}

RgbImage decode_image(std::span<const std::byte> bytes, std::string_view name, int64_t max_pixels) {
  pulse();
  const EncodedImage file{bytes, name, max_pixels};
  DecodedImage decoded = codec_of(file).decode(file);
  return apply_orientation(std::move(decoded.image), decoded.orientation);
}

ImageSize stored_size(std::span<const std::byte> bytes, std::string_view name, int64_t max_pixels) {
  pulse();
  const EncodedImage file{bytes, name, max_pixels};
  return codec_of(file).size(file);
}

RgbImage load_image(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  return decode_image(std::as_bytes(std::span(content)), path.string());
}

}  // namespace caprl
