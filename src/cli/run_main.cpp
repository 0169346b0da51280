#include "caprl/cli/run_main.h"

#include "caprl/core/log.h"
#include "caprl/core/version.h"
#include "cli/commands.h"
#include "cli/run_app.h"

namespace caprl {

int run_main(std::vector<std::string> arguments) {
  init_logging();
  CLI::App app("Trains image-caption models by reinforcement learning", "caprl");
  app.set_version_flag("--version", std::string("caprl ") + version());
  app.require_subcommand(1);
  app.fallthrough();  // so that --version is understood after a command, as of caprl-train
  add_commands(app);
  return run_app(app, std::move(arguments));
}

}  // namespace caprl
