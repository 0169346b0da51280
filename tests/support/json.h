// JSON written in tests. Reading it costs a file that calls nlohmann's parser itself seconds to
// compile.
#pragma once
#include <nlohmann/json.hpp>
#include <string_view>

#include "caprl/io/json.h"

namespace caprl {

inline nlohmann::json json_of(std::string_view text) { return parse_json(text, "a test's JSON"); }

}  // namespace caprl
