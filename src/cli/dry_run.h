// `caprl train --dry-run`: time and memory on paper, before anything is allocated.
#pragma once
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "caprl/train/step_model.h"

namespace caprl {

struct DryRunOptions {
  bool wanted = false;
  std::string machine = "h100";
  TypicalLengths lengths;
};
std::shared_ptr<DryRunOptions> add_dry_run_options(CLI::App& command);

/// Reads the two models' config.json and prints a table for 1 to 1,024 devices.
void print_dry_run(const GrpoConfig& config, const DryRunOptions& options);

}  // namespace caprl
