#include "caprl/checkpoint/state.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/json.h"

namespace caprl {

void save_state(const std::filesystem::path& file, const nlohmann::json& state) {
  const nlohmann::json flat = state.flatten();
  for (const auto& [where, value] : flat.items())
    if (value.is_number_float() && !std::isfinite(value.get<double>()))
      throw Error("{}: {}: expected a finite number, got {}", file.string(), where,
                  value.get<double>());
  write_file_atomic(file, state.dump(1) + "\n");
}

nlohmann::json load_state(const std::filesystem::path& file) { return read_json(file); }

}  // namespace caprl
