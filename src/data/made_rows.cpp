#include "data/made_rows.h"

#include <fmt/format.h>

namespace caprl {

using nlohmann::json;

json made_message(const char* role, const std::string& text, const json& image) {
  json content = json::array();
  if (!image.is_null()) content.push_back({{"type", "image"}, {"image", image}});
  content.push_back({{"type", "text"}, {"text", text}});
  return {{"role", role}, {"content", std::move(content)}};
}

json made_id(const json& id, size_t index) {
  if (index == 0 || id.is_null()) return id;
  return fmt::format("{}#{}", id.is_string() ? id.get<std::string>() : id.dump(), index);
}

}  // namespace caprl
