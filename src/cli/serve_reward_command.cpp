#include <ATen/Parallel.h>
#include <chrono>
#include <thread>

#include "caprl/core/log.h"
#include "caprl/core/termination.h"
#include "caprl/reward/server.h"
#include "caprl/train/config.h"
#include "cli/commands.h"
#include "cli/config_options.h"

namespace caprl {

void add_serve_reward_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("serve-reward", "Serve rewards over HTTP");
  const auto options = add_config_options(*command);
  command->callback([options] {
    RewardServerConfig config;
    load_config(options->config, options->overrides, config);
    catch_termination();
    if (config.run.threads > 0) at::set_num_threads(static_cast<int>(config.run.threads));
    const at::Device device = choose_device(config.run.device);
    RewardServer server(std::move(config), device);
    log_info("serving rewards on {}", server.url());
    while (termination_signal() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    log_info("stopping: finishing what was accepted");
    server.stop();
  });
}

}  // namespace caprl
