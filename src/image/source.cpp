#include "caprl/image/source.h"

#include <span>

#include "caprl/core/files.h"

namespace caprl {

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
  const SharedBytes content = file_content(source);
  return stored_size(content.bytes, source.name);
}

}  // namespace caprl
