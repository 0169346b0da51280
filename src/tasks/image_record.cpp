#include "tasks/image_record.h"

namespace caprl {

nlohmann::json image_record(const ImageSource& source, bool embed) {
  nlohmann::json image = nlohmann::json::object();
  if (!source.path.empty()) image["path"] = source.path.string();
  if (!source.path.empty() && !embed) return image;
  const SharedBytes content = file_content(source);
  const auto* begin = reinterpret_cast<const uint8_t*>(content.bytes.data());
  image["bytes"] = nlohmann::json::binary({begin, begin + content.bytes.size()});
  return image;
}

}  // namespace caprl
