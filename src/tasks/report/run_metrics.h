// A run's metrics.jsonl by column.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace caprl {

struct RunMetrics {
  std::vector<int64_t> steps;
  /// A value a step: a number, "nan", "inf" or "-inf"; null where the step's line has none.
  std::map<std::string, std::vector<nlohmann::json>> columns;
  std::vector<std::string> notes;  // what was left out

  int64_t last_step() const { return steps.empty() ? 0 : steps.back(); }
};

/// Of very long runs every so many steps, and those with an evaluation. A last line that is not
/// ended yet is left out. InputError if there is no such file, or a line is damaged.
RunMetrics read_metrics(const std::filesystem::path& run);

}  // namespace caprl
