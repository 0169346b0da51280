#include "cli/commands.h"

#include <fmt/format.h>

#include "caprl/core/version.h"
#include "cli/build_info.h"
#include "cli/examples.h"

namespace caprl {

void add_commands(CLI::App& app) {
  add_train_command(app);
  add_sft_command(app);
  add_caption_command(app);
  add_qa_command(app);
  add_eval_command(app);
  add_serve_reward_command(app);
  add_score_command(app);
  add_report_command(app);
  add_data_command(app);
  add_checkpoint_command(app);
  add_export_command(app);
  add_import_command(app);
  add_init_command(app);
  add_tokenize_command(app);
  add_config_command(app);
  add_completion_command(app);
  add_doctor_command(app);
  add_help_pages_command(app);
}

void set_up_commands(CLI::App& app) {
  app.set_version_flag("--version", fmt::format("caprl {}\n{}", version(), build_info()));
  app.require_subcommand(1);
  app.fallthrough();  // so that --version is understood after a command, as of caprl-train
  add_commands(app);
  add_examples(app);
}

}  // namespace caprl
