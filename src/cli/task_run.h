// What the commands of tasks that ranks share have in common.
#pragma once
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "caprl/core/log.h"
#include "caprl/dist/world.h"
#include "cli/config_options.h"

namespace caprl {

/// work(config, world) with the config that the options name, on every rank of the launch.
template <class Config, class Work>
void run_task(const ConfigOptions& options, Work work) {
  using std::chrono::seconds;
  Config config;
  const Launch launch = read_launch();
  set_log_rank(launch.rank);
  load_config(options.config, options.overrides, config);
  config.validate();
  // The ranks meet through the run's store alone: no collective moves their tensors.
  World world(launch, at::kCPU, seconds(60), seconds(60));
  world.run([&] { work(config, world); });
}

/// A command that prints what task(config, world) gives: result_table() of it, or with --json
/// result_json().
template <class Config, class Task>
void add_result_command(CLI::App& app, const std::string& name, const std::string& what,
                        Task task) {
  CLI::App* command = app.add_subcommand(name, what);
  const auto options = add_config_options(*command);
  const auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "print the result as JSON in place of the table");
  command->callback([options, as_json, task] {
    run_task<Config>(*options, [&](const Config& config, World& world) {
      const auto result = task(config, world);
      if (!world.is_first()) return;
      std::cout << (*as_json ? result_json(result).dump(2) + "\n" : result_table(result));
    });
  });
}

}  // namespace caprl
