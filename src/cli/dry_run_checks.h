// What `--dry-run` of `caprl train` and `caprl sft` looks at. Each check gives a sentence of what
// it found, or throws what training would.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "caprl/data/reader.h"
#include "caprl/generation/prompts.h"
#include "caprl/train/config.h"

namespace caprl {

/// What both kinds of training are configured by.
struct CheckedRun {
  const RunConfig& run;
  const PolicyConfig& policy;
  const DataConfig& data;
  const CheckpointConfig& checkpoint;
  int64_t total_steps;
  RowKind rows;  // of captions: the policy has to be a vision-language model
};

/// Of the rows that can be used.
struct DataFacts {
  int64_t rows = 0;
  double prompt_tokens = 0, image_tokens = 0;  // mean
  double response_tokens = 0;                  // the same, of supervised rows
  int64_t longest_response = 0;
};

class DryRunChecks {
 public:
  /// What `config` refers to must outlive this.
  explicit DryRunChecks(const CheckedRun& config) : config_(config) {}

  std::string run_folder(const std::string& resume);
  std::string policy();
  /// After policy(). InputError listing the first faults unless bad rows are skipped.
  std::string train_data() { return data(config_.data.train_files, train_); }
  std::string held_out_data() { return data(config_.data.val_files, held_out_); }
  std::string disk() const;
  std::string device(int local_rank, int ranks) const;

  const std::optional<PromptBuilder>& prompts() const { return prompts_; }
  const DataFacts& train() const { return train_; }
  const DataFacts& held_out() const { return held_out_; }

 private:
  std::string data(const std::vector<std::string>& files, DataFacts& facts) const;

  const CheckedRun config_;
  std::optional<PromptBuilder> prompts_;  // once the policy is found good
  double num_weights_ = 0, num_trained_ = 0, weight_file_bytes_ = 0;
  DataFacts train_, held_out_;
};

std::string check_reference(const GrpoConfig& config);
std::string check_reward(const GrpoConfig& config);

}  // namespace caprl
