// Shapes that `caprl init` knows by name.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

/// "qwen2_5_tiny", "qwen2_5_vl_tiny": for tests, seconds on a CPU. "qwen2_5_3b", "qwen2_5_vl_3b":
/// the published shapes.
const std::vector<std::string>& preset_names();

/// The preset's config.json in the form of published checkpoints. InputError for an unknown name,
/// listing the known ones.
nlohmann::json preset_config(std::string_view name);

}  // namespace caprl
