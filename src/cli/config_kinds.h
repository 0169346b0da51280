// The commands that read a configuration, and what it is.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/core/config.h"

namespace caprl {

/// "train", "sft", …, in the order of the help.
std::vector<std::string> config_commands();

/// The command's configuration with its defaults. InputError for a command that has none.
std::unique_ptr<ConfigRoot> default_config(std::string_view command);

}  // namespace caprl
