// YAML nodes to typed values; anything else than the asked-for kind is an InputError that says
// where.
#pragma once
#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/core/config.h"

namespace caprl {

/// A value of a config, and what to say about it.
struct ConfigSource {
  std::string path;    // "rollout.n"
  std::string where;   // "configs/x.yaml:3:5" or "--set rollout.n=x"
  std::string origin;  // of list elements, which have places of their own: the file, or nothing
  YAML::Node node;
};

/// "FILE:LINE:COLUMN", counted from 1; "FILE" if the place is not known.
std::string describe_place(std::string_view file, const YAML::Mark& mark);

/// "'1e6'", "the text '4'", "null", "a list", "a section".
std::string describe_value(const YAML::Node& node);

bool read_bool(const ConfigSource& source);
int64_t read_int(const ConfigSource& source, Range range);
double read_double(const ConfigSource& source, Range range);
std::string read_text(const ConfigSource& source);
std::vector<std::string> read_texts(const ConfigSource& source);
std::vector<double> read_doubles(const ConfigSource& source, Range range);
std::optional<int64_t> read_optional_int(const ConfigSource& source, Range range);
std::optional<double> read_optional_double(const ConfigSource& source, Range range);
std::string read_choice(const ConfigSource& source, const std::vector<std::string>& names);

}  // namespace caprl
