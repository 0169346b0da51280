#include "cli/config_options.h"

namespace caprl {

std::shared_ptr<ConfigOptions> add_config_options(CLI::App& command) {
  auto options = std::make_shared<ConfigOptions>();
  command.add_option("--config", options->config, "YAML file (docs/CONFIG.md)")->required();
  command
      .add_option("--set", options->overrides,
                  "key.path=value, overrides the file; may be repeated")
      ->allow_extra_args(false);
  return options;
}

}  // namespace caprl
