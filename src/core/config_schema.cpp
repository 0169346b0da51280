#include <cmath>
#include <nlohmann/json.hpp>

#include "config_keys.h"

namespace caprl {
namespace {

using Json = nlohmann::ordered_json;

/// A value as config_to_yaml() writes it: JSON but for plain texts and characters as "\x0a".
/// Null of a list of plain texts.
Json json_of(std::string yaml) {
  for (size_t i = 0; i + 1 < yaml.size(); ++i) {
    if (yaml[i] != '\\') continue;
    if (yaml[i + 1] == 'x') yaml.replace(i + 1, 1, "u00");
    ++i;
  }
  const Json value = Json::parse(yaml, nullptr, /*allow_exceptions=*/false);
  if (!value.is_discarded()) return value;
  return yaml.starts_with('[') ? Json() : Json(yaml);
}

void add_bounds(const Range& range, Json& schema) {
  if (std::isfinite(range.min)) schema["minimum"] = range.min;
  if (std::isfinite(range.max)) schema["maximum"] = range.max;
}

Json number(const char* type, const Range& range) {
  Json schema{{"type", type}};
  add_bounds(range, schema);
  return schema;
}

Json schema_of(const ConfigKey& key) {
  if (key.type == "true or false") return {{"type", "boolean"}};
  if (key.type == "choice") return {{"enum", key.names}};
  if (key.type == "list of texts") return {{"type", "array"}, {"items", {{"type", "string"}}}};
  if (key.type == "list of numbers")
    return {{"type", "array"}, {"items", number("number", key.range)}};
  for (const char* type : {"integer", "number"}) {
    if (key.type == type) return number(type, key.range);
    if (key.type == std::string(type) + " or null") {
      Json schema = number(type, key.range);
      schema["type"] = {type, "null"};
      return schema;
    }
  }
  return {{"type", "string"}};
}

Json section(std::string_view doc) {
  return {{"type", {"object", "null"}},
          {"description", doc},
          {"additionalProperties", false},
          {"properties", Json::object()}};
}

}  // namespace

std::string config_to_json_schema(ConfigRoot& root, std::string_view title) {
  Json schema = section("docs/CONFIG.md says more");
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = title;
  for (const ConfigKey& key : ConfigKeys(root).all()) {
    Json* place = &schema;
    std::string_view rest = key.path;
    for (size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
      place = &(*place)["properties"][std::string(rest.substr(0, dot))];
      rest.remove_prefix(dot + 1);
    }
    Json& mine = (*place)["properties"][std::string(rest)];
    if (key.is_section) {
      mine = section(key.doc);
      continue;
    }
    mine = schema_of(key);
    mine["description"] = key.doc;
    const Json value = json_of(key.value);
    if (key.value != ".inf" && key.value != "-.inf" && !(value.is_null() && key.value != "null"))
      mine["default"] = value;
  }
  return schema.dump(2) + "\n";
}

}  // namespace caprl
