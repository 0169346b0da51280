#include "caprl/tasks/caption.h"

#include "cli/commands.h"
#include "cli/task_run.h"

namespace caprl {
namespace {

void run(const ConfigOptions& options) {
  run_task<CaptionConfig>(options, [](const CaptionConfig& config, World& world) {
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
