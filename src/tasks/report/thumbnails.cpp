#include "tasks/report/thumbnails.h"

#include <algorithm>
#include <cmath>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/image/image.h"
#include "caprl/io/base64.h"

namespace caprl {
namespace {

constexpr int64_t kMaxSide = 320;       // pixels
constexpr int kQuality = 82;            // of JPEG
constexpr size_t kSmallFile = 8 << 10;  // bytes; kept as it is

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// The media type of a file that browsers show as it is.
std::string_view media_type(std::string_view file) {
  if (file.starts_with("\x89PNG")) return "image/png";
  if (file.starts_with("\xff\xd8\xff")) return "image/jpeg";
  return {};
}

RgbImage fit(RgbImage image) {
  const int64_t side = std::max(image.width, image.height);
  if (side <= kMaxSide) return image;
  const auto scaled = [&](int64_t length) {
    return std::max<int64_t>(1, (length * kMaxSide + side / 2) / side);
  };
  return resize_bicubic(image, scaled(image.width), scaled(image.height));
}

std::string make_uri(const std::filesystem::path& file) {
  const std::string content = read_file(file);
  // Decoded in any case: a damaged image is said to be one.
  const RgbImage image = decode_image(as_bytes(content), file.string());
  const std::string_view type = media_type(content);
  if (!type.empty() && content.size() <= kSmallFile)
    return fmt::format("data:{};base64,{}", type, encode_base64(as_bytes(content)));
  return "data:image/jpeg;base64," + encode_base64(as_bytes(encode_jpeg(fit(image), kQuality)));
}

}  // namespace

const Thumbnail& Thumbnails::of(const std::filesystem::path& file) {
  const auto [place, is_new] = known_.try_emplace(file);
  Thumbnail& thumbnail = place->second;
  if (!is_new) return thumbnail;
  if (!std::filesystem::is_regular_file(file)) {
    thumbnail.why = fmt::format("The image file is not there (any more): {}", file.string());
    return thumbnail;
  }
  try {
    const std::string uri = make_uri(file);
    thumbnail.index = uris_.size();
    bytes_ += std::ssize(uri);
    uris_.push_back(uri);
  } catch (const Error& error) {
    thumbnail.why = fmt::format("The image cannot be shown: {}", error.what());
  }
  return thumbnail;
}

}  // namespace caprl
