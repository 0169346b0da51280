
#include "caprl/core/log.h"
#include "caprl/tasks/caption.h"
#include "cli/commands.h"
#include "cli/config_options.h"

namespace caprl {

void add_caption_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("caption", "Caption images in bulk");
  const auto options = add_config_options(*command);
  command->callback([options] {
    CaptionConfig config;
    load_config(options->config, options->overrides, config);
    const CaptionCounts counts = caption_images(config);
    log_info("{} images captioned, {} had captions, {} bad rows skipped", counts.captioned,
             counts.found, counts.skipped);
  });
}

}  // namespace caprl
