#include "caprl/image/source.h"

#include <span>

#include "caprl/core/files.h"

namespace caprl {
namespace {

/// use(bytes) of the image's file.
template <class Use>
auto with_file(const ImageSource& source, Use use) {
  if (!source.bytes.empty()) return use(std::span(source.bytes));
  const std::string content = read_file(source.path);
  return use(std::as_bytes(std::span(content)));
}

}  // namespace

RgbImage load_image(const ImageSource& source) {
  return with_file(source, [&](auto bytes) { return decode_image(bytes, source.name); });
}

ImageSize stored_size(const ImageSource& source) {
  return with_file(source, [&](auto bytes) { return stored_size(bytes, source.name); });
}

}  // namespace caprl
