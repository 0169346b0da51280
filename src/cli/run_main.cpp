#include "caprl/cli/run_main.h"

#include "caprl/core/log.h"
#include "caprl/core/memory.h"
#include "cli/commands.h"
#include "cli/run_app.h"

namespace caprl {

int run_main(std::vector<std::string> arguments) {
  keep_freed_memory();
  init_logging();
  CLI::App app("Trains image-caption models by reinforcement learning", "caprl");
  set_up_commands(app);
  return run_app(app, std::move(arguments));
}

}  // namespace caprl
