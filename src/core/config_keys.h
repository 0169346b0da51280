// How keys and their ranges are written.
#pragma once
#include <string>
#include <string_view>
#include <utility>

#include "caprl/core/config_keys.h"

namespace caprl {

/// "1 to 4096", "at least 1", "at most 1", or nothing.
std::string describe_range(Range range);

/// "rollout" + "n" = "rollout.n"; nothing + "n" = "n".
std::string join_key(std::string_view section, std::string_view key);
/// "rollout.n" → "rollout", "n".
std::pair<std::string_view, std::string_view> split_key(std::string_view path);

}  // namespace caprl
