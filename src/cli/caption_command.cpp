#include <chrono>

#include "caprl/core/log.h"
#include "caprl/tasks/caption.h"
#include "cli/commands.h"
#include "cli/config_options.h"

namespace caprl {
namespace {

void run(const ConfigOptions& options) {
  using std::chrono::seconds;
  CaptionConfig config;
  const Launch launch = read_launch();
  set_log_rank(launch.rank);
  load_config(options.config, options.overrides, config);
  config.validate();
  // The ranks meet through the run's store alone: no collective moves their tensors.
  World world(launch, at::kCPU, seconds(60), seconds(60));
  world.run([&] {
    const CaptionCounts counts = caption_images(config, world);
    log_info("{} images captioned, {} done before, {} set aside, {} duplicates left out",
             counts.captioned, counts.found, counts.skipped, counts.duplicates);
  });
}

}  // namespace

void add_caption_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("caption", "Caption images in bulk");
  const auto options = add_config_options(*command);
  command->callback([options] { run(*options); });
}

}  // namespace caprl
