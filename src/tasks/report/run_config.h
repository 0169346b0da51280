// A run's config.yaml as it is written there, whatever version of caprl wrote it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace caprl {

struct RunConfigText {
  std::vector<std::pair<std::string, std::string>> values;  // "rollout.n", "8"; in the file's order
  std::vector<std::string> notes;                           // why there is nothing

  std::optional<int64_t> total_steps() const;  // train.total_steps
};

RunConfigText read_run_config(const std::filesystem::path& run);

}  // namespace caprl
