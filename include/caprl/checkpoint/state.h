// Counters of a run beside its tensors: state.json.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace caprl {

/// Numbers read back exactly. Error naming the member that holds a number that is not finite, which
/// JSON cannot say.
void save_state(const std::filesystem::path& file, const nlohmann::json& state);

/// InputError naming the file if it is missing or malformed.
nlohmann::json load_state(const std::filesystem::path& file);

}  // namespace caprl
