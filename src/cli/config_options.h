// The options of every command that reads a configuration file.
#pragma once
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

namespace caprl {

struct ConfigOptions {
  std::string config;
  std::vector<std::string> overrides;
};

std::shared_ptr<ConfigOptions> add_config_options(CLI::App& command);

}  // namespace caprl
