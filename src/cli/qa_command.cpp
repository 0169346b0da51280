#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "caprl/core/log.h"
#include "caprl/tasks/qa.h"
#include "cli/commands.h"
#include "cli/config_options.h"

namespace caprl {
namespace {

void run(const ConfigOptions& options, bool as_json) {
  using std::chrono::seconds;
  QaConfig config;
  const Launch launch = read_launch();
  set_log_rank(launch.rank);
  load_config(options.config, options.overrides, config);
  config.validate();
  // The ranks meet through the run's store alone: no collective moves their tensors.
  World world(launch, at::kCPU, seconds(60), seconds(60));
  world.run([&] {
    const QaResult result = curate_questions(config, world);
    if (!world.is_first()) return;
    std::cout << (as_json ? result_json(result).dump(2) + "\n" : result_table(result));
  });
}

}  // namespace

void add_qa_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "qa", "Curate questions about images: generate, extract, filter by answering");
  const auto options = add_config_options(*command);
  const auto as_json = std::make_shared<bool>(false);
  command->add_flag("--json", *as_json, "print the result as JSON in place of the table");
  command->callback([options, as_json] { run(*options, *as_json); });
}

}  // namespace caprl
