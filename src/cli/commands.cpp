#include "cli/commands.h"

namespace caprl {

void add_commands(CLI::App& app) {
  add_train_command(app);
  add_sft_command(app);
  add_caption_command(app);
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
  add_doctor_command(app);
}

}  // namespace caprl
