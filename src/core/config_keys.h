// What a config's structs say about their keys, as a plain list.
#pragma once
#include <string>
#include <vector>

#include "caprl/core/config.h"

namespace caprl {

struct ConfigKey {
  std::string path;  // "rollout.temperature"
  bool is_section = false;
  std::string type;     // of a field: "integer", "list of texts", …
  std::string value;    // of a field: the current one as YAML
  std::string allowed;  // of a field: "1 to 4096", "constant, cosine", or nothing
  std::string doc;
};

/// Every key in declaration order, a section before its fields.
std::vector<ConfigKey> list_config_keys(ConfigRoot& root);

/// "1 to 4096", "at least 1", "at most 1", or nothing.
std::string describe_range(Range range);

/// "rollout" + "n" = "rollout.n"; nothing + "n" = "n".
std::string join_key(std::string_view section, std::string_view key);
/// "rollout.n" → "rollout", "n".
std::pair<std::string_view, std::string_view> split_key(std::string_view path);

}  // namespace caprl
