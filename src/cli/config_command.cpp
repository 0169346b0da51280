#include <iostream>

#include "caprl/reward/server.h"
#include "caprl/tasks/caption.h"
#include "caprl/train/config.h"
#include "cli/commands.h"

namespace caprl {

void add_config_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("config", "About configuration files");
  command->require_subcommand(1);
  CLI::App* docs = command->add_subcommand("docs", "Every key as Markdown: docs/CONFIG.md");
  docs->callback([] {
    const GrpoConfig train;
    const SftConfig sft;
    const CaptionConfig caption;
    const RewardServerConfig serve;
    std::cout
        << "# Configuration\n\n"
           "Written by `caprl config docs`. A config is a YAML file; `--set key.path=value` "
           "overrides single keys. An\n"
           "unknown, duplicate or ill-typed key is an error that names file, line and "
           "column. The resolved config is\n"
           "saved as `config.yaml` in the run folder.\n\n"
           "# Presets\n\n"
           "What `preset: release`, `paper` and `capRL++` mean. A key that the file or `--set` "
           "names is as named there.\n\n"
        << presets_to_markdown(reward_presets()) << "\n"
        << presets_to_markdown(training_presets()) << "\n# `caprl train`\n\n"
        << config_to_markdown(train) << "\n# `caprl sft`\n\n"
        << config_to_markdown(sft) << "\n# `caprl caption`\n\n"
        << config_to_markdown(caption) << "\n# `caprl serve-reward`\n\n"
        << config_to_markdown(serve);
  });
}

}  // namespace caprl
