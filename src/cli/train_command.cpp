#include "cli/commands.h"

#include <memory>

#include "caprl/core/log.h"
#include "caprl/core/termination.h"
#include "caprl/dist/world.h"
#include "caprl/train/grpo_trainer.h"
#include "caprl/train/sft_trainer.h"
#include "cli/config_options.h"
#include "cli/dry_run.h"

namespace caprl {
namespace {

struct TrainingOptions {
  std::shared_ptr<ConfigOptions> config;
  std::string resume = "auto";
};

std::shared_ptr<TrainingOptions> add_training_options(CLI::App& command) {
  auto options = std::make_shared<TrainingOptions>();
  options->config = add_config_options(command);
  command
      .add_option(
          "--resume", options->resume,
          "auto: continue the run folder's newest checkpoint; undamaged: put damaged "
          "checkpoints aside and continue the newest other one; never: refuse a folder that "
          "has checkpoints; or a checkpoint's folder")
      ->capture_default_str();
  return options;
}

template <class Config>
void run_checks(const TrainingOptions& options, const DryRunOptions& dry_run) {
  Config config;
  load_config(options.config->config, options.config->overrides, config);
  config.validate();
  check_start(config, options.resume, dry_run);
}

template <class Config, class Trainer, class... More>
void run_training(const TrainingOptions& options, More... more) {
  Config config;
  catch_termination();
  const Launch launch = read_launch();
  set_log_rank(launch.rank);
  load_config(options.config->config, options.config->overrides, config);
  World world(launch, choose_device(config.run.device, launch.local_rank),
              config.parallel.timeout(), config.parallel.collective_timeout());
  world.run([&] { Trainer(std::move(config), options.resume, world, more...).run(); });
}

}  // namespace

void add_train_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "Train a captioner with GRPO");
  const auto options = add_training_options(*command);
  const auto dry_run = add_dry_run_options(*command);
  const auto traced_steps = std::make_shared<int64_t>(0);
  command
      ->add_option("--profile", *traced_steps,
                   "write traces of so many steps after the first to RUN/trace, for Perfetto or "
                   "chrome://tracing")
      ->check(CLI::NonNegativeNumber);
  command->callback([options, dry_run, traced_steps] {
    if (dry_run->wanted) return run_checks<GrpoConfig>(*options, *dry_run);
    run_training<GrpoConfig, GrpoTrainer>(*options, *traced_steps);
  });
}

void add_sft_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("sft", "Train a captioner or a text LLM on given responses");
  const auto options = add_training_options(*command);
  const auto dry_run = add_sft_dry_run_options(*command);
  command->callback([options, dry_run] {
    if (dry_run->wanted) return run_checks<SftConfig>(*options, *dry_run);
    run_training<SftConfig, SftTrainer>(*options);
  });
}

}  // namespace caprl
