// Captions of a run, spread over its steps.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tasks/report/thumbnails.h"

namespace caprl {

struct RolloutSample {
  nlohmann::json groups = nlohmann::json::array();  // by step; see describe_group
  int64_t num_steps = 0;                            // that have captions
  std::vector<std::string> notes;                   // files that cannot be read
};

/// The first few groups of the files in RUN/rollouts or RUN/eval (`folder`) up to `last_step`, as
/// many as `max_bytes` of JSON and images hold: of the first step, the last, and those in between,
/// ever closer. `same_images`: the files are about the same images. Nothing of a folder that does
/// not exist.
RolloutSample sample_rollouts(const std::filesystem::path& folder, int64_t last_step,
                              int64_t max_bytes, bool same_images, Thumbnails& images);

}  // namespace caprl
