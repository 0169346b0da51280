#include "tasks/eval/row_values.h"

#include "caprl/core/error.h"
#include "tasks/eval/forms.h"
#include "tasks/scorers/answer_text.h"

namespace caprl::published {

using nlohmann::json;

const json& member(const json& row, const char* key) {
  if (!row.is_object()) throw InputError("expected an object, got {}", row.type_name());
  const auto found = row.find(key);
  if (found == row.end() || found->is_null()) throw InputError("key '{}' is missing", key);
  return *found;
}

std::string text(const json& row, const char* key) {
  const json& value = member(row, key);
  if (value.is_number()) return value.dump();
  if (!value.is_string()) throw InputError("{}: expected a string, got {}", key, value.type_name());
  return value.get<std::string>();
}

const json& list(const json& row, const char* key) {
  const json& value = member(row, key);
  if (!value.is_array()) throw InputError("{}: expected a list, got {}", key, value.type_name());
  return value;
}

json labelled(const std::vector<std::string>& options) {
  json choices = json::array();
  for (const std::string& option : options)
    choices.push_back(fmt::format("{}) {}", static_cast<char>('A' + choices.size()), option));
  return choices;
}

std::vector<std::string> texts(const json& values, const char* key) {
  std::vector<std::string> all;
  for (const json& value : values) {
    if (!value.is_string() && !value.is_number())
      throw InputError("{}: expected strings, got {}", key, value.type_name());
    all.push_back(value.is_string() ? value.get<std::string>() : value.dump());
  }
  return all;
}

json python_list(const std::string& printed) {
  const std::string_view all = trim(printed);
  if (!all.starts_with('[') || !all.ends_with(']')) return {printed};
  json values = json::array();
  for (size_t i = 1; i + 1 < all.size();) {
    const char quote = all[i];
    if (quote == ' ' || quote == ',') {
      ++i;
      continue;
    }
    if (quote != '\'' && quote != '"') return {printed};
    std::string value;
    for (++i; i < all.size() && all[i] != quote; ++i) {
      if (all[i] == '\\' && i + 1 < all.size()) ++i;
      value += all[i];
    }
    if (i >= all.size()) return {printed};
    values.push_back(value);
    ++i;
  }
  return values;
}

std::vector<std::string> listed(const json& row, const char* key) {
  const json& value = member(row, key);
  return texts(value.is_string() ? python_list(value.get<std::string>()) : list(row, key), key);
}

json image_of(const json& row, const char* key, const FileSource& source,
              const std::vector<std::string>& folders) {
  const json& image = member(row, key);
  if (image.is_structured() || image.is_binary()) return image;
  std::vector<std::string> names;
  for (const std::string& folder : folders) names.push_back(folder + text(row, key));
  return source.image(names);
}

}  // namespace caprl::published
