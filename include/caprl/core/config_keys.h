// What a config's structs say about their keys, as a plain list.
#pragma once
#include <string>
#include <string_view>
#include <utility>
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
  Range range;                     // of numbers
  std::vector<std::string> names;  // of a choice
};

/// Every key in declaration order, a section before its fields.
class ConfigKeys {
 public:
  explicit ConfigKeys(ConfigRoot& root);

  const std::vector<ConfigKey>& all() const& { return keys_; }
  std::vector<ConfigKey> all() && { return std::move(keys_); }
  /// InputError "WHERE: unknown key 'rolout.n'; did you mean 'rollout.n'?"
  const ConfigKey& find(std::string_view path, std::string_view where) const;

 private:
  std::vector<ConfigKey> keys_;
};

/// JSON Schema (draft 2020-12) of the YAML file, for editors.
std::string config_to_json_schema(ConfigRoot& root, std::string_view title);

}  // namespace caprl
