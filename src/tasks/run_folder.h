// A run's folder belongs to one config.
#pragma once
#include <filesystem>
#include <functional>
#include <string>

#include "caprl/core/config.h"
#include "caprl/core/error.h"

namespace caprl {

/// InputError if `saved`, the config of a run that began earlier, differs from `config` in what
/// `decisive` (its keys as text) says; the folder may have been moved. Writes nothing.
template <class Config>
void require_same_run(const Config& config, const std::filesystem::path& saved,
                      const std::function<std::string(Config)>& decisive) {
  if (!std::filesystem::exists(saved)) return;
  Config before;
  load_config(saved, {}, before);
  before.run.dir = config.run.dir;
  if (decisive(before) != decisive(config))
    throw InputError(
        "{} was begun with another model, data or sampling ({}); choose another run.dir",
        config.run.dir, saved.string());
}

/// Creates run.dir if it is not there; whether it did.
inline bool create_run_folder(const std::string& dir) {
  std::error_code error;
  const bool is_new = std::filesystem::create_directories(dir, error);
  if (error) throw InputError("run.dir: {} cannot be created: {}", dir, error.message());
  return is_new;
}

}  // namespace caprl
