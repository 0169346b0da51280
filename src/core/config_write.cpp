#include <fmt/format.h>

#include <algorithm>

#include "caprl/core/config.h"
#include "config_keys.h"

namespace caprl {
namespace {

std::string table_cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|') cell += '\\';  // would end the cell
    cell += c;
  }
  return cell;
}

/// The fields directly in one section; nested sections have tables of their own.
std::string table(const std::vector<ConfigKey>& keys, std::string_view section) {
  std::string rows;
  for (const ConfigKey& key : keys) {
    if (key.is_section || split_key(key.path).first != section) continue;
    rows += fmt::format("| `{}` | {} | `{}` | {} | {} |\n", key.path, key.type,
                        table_cell(key.value), table_cell(key.allowed), table_cell(key.doc));
  }
  if (rows.empty()) return rows;
  return "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n" + rows + "\n";
}

}  // namespace

std::string config_to_yaml(ConfigRoot& root) {
  std::string text;
  for (const ConfigKey& key : ConfigKeys(root).all()) {
    const auto depth = std::count(key.path.begin(), key.path.end(), '.');
    text.append(static_cast<size_t>(2 * depth), ' ');
    text += split_key(key.path).second;
    text += key.is_section ? ":\n" : fmt::format(": {}\n", key.value);
  }
  return text;
}

std::string config_to_markdown(ConfigRoot& root) {
  const ConfigKeys list(root);
  const std::vector<ConfigKey>& keys = list.all();
  std::string text = table(keys, "");
  for (const ConfigKey& key : keys)
    if (key.is_section)
      text += fmt::format("## `{}`: {}\n\n", key.path, key.doc) + table(keys, key.path);
  if (!text.empty()) text.pop_back();  // ends with one line end
  return text;
}

}  // namespace caprl
