#include "caprl/image/source.h"

#include <fstream>
#include <optional>
#include <span>

#include "caprl/core/error.h"
#include "caprl/core/files.h"

namespace caprl {
namespace {

constexpr size_t kUsualHeader = size_t{1} << 16;  // with EXIF's thumbnail

/// By the file's beginning; nothing if that does not tell.
std::optional<ImageSize> size_by_beginning(const ImageSource& source) {
  std::ifstream file(source.path, std::ios::binary);
  std::vector<char> begin(kUsualHeader);
  file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  begin.resize(static_cast<size_t>(file.gcount()));
  try {
    return stored_size(std::as_bytes(std::span(begin)), source.name);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

}  // namespace

SharedBytes file_content(const ImageSource& source) {
  if (source.stored.store) return source.stored.store->read(source.stored.index);
  if (!source.bytes.empty()) return {nullptr, source.bytes};
  const auto content = std::make_shared<const std::string>(read_file(source.path));
  return {content, std::as_bytes(std::span(*content))};
}

RgbImage load_image(const ImageSource& source) {
  const SharedBytes content = file_content(source);
  return decode_image(content.bytes, source.name);
}

ImageSize stored_size(const ImageSource& source) {
  if (!source.stored.store && source.bytes.empty())
    if (const auto size = size_by_beginning(source)) return *size;
  const SharedBytes content = file_content(source);
  return stored_size(content.bytes, source.name);
}

}  // namespace caprl
