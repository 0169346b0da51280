// `caprl train --dry-run` and `caprl sft --dry-run`: would training start, how long will it take,
// does it fit? Nothing is written, no weights are loaded.
#pragma once
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "caprl/train/step_model.h"

namespace caprl {

struct DryRunOptions {
  bool wanted = false;
  std::string machine = "this";
  int64_t ranks = 0;                           // 0: this launch's
  double prompt_tokens = 0, image_tokens = 0;  // 0: the data's
  double response_tokens = 0;                  // the same, of supervised training
  TypicalLengths lengths;                      // of what is not known yet
  bool is_this() const { return machine == "this"; }
};
std::shared_ptr<DryRunOptions> add_dry_run_options(CLI::App& command);
/// Those of supervised training, whose responses are known.
std::shared_ptr<DryRunOptions> add_sft_dry_run_options(CLI::App& command);

/// Checks all that training needs, then prints time and memory of a step; on rank 0 alone.
/// InputError after all of it if training would not start.
void check_start(const GrpoConfig& config, const std::string& resume, const DryRunOptions& options);
void check_start(const SftConfig& config, const std::string& resume, const DryRunOptions& options);

}  // namespace caprl
