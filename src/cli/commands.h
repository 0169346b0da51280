// One file per command; each has a function that adds the subcommand, its options, and a callback
// that runs it.
#pragma once
#include <CLI/CLI.hpp>

namespace caprl {

void add_caption_command(CLI::App& app);
void add_checkpoint_command(CLI::App& app);
void add_completion_command(CLI::App& app);
void add_config_command(CLI::App& app);
void add_data_command(CLI::App& app);
void add_doctor_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_export_command(CLI::App& app);
void add_help_pages_command(CLI::App& app);
void add_import_command(CLI::App& app);
void add_init_command(CLI::App& app);
void add_qa_command(CLI::App& app);
void add_report_command(CLI::App& app);
void add_score_command(CLI::App& app);
void add_serve_reward_command(CLI::App& app);
void add_sft_command(CLI::App& app);
void add_tokenize_command(CLI::App& app);
void add_train_command(CLI::App& app);

/// Every command, in the order in which the help names them.
void add_commands(CLI::App& app);

/// The whole command line: commands with examples in their help, --version.
void set_up_commands(CLI::App& app);

}  // namespace caprl
