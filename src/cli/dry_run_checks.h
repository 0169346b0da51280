// What `caprl train --dry-run` looks at. Each check gives a sentence of what it found, or throws
// what training would.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "caprl/generation/prompts.h"
#include "caprl/train/config.h"

namespace caprl {

/// Of the rows that can be used.
struct DataFacts {
  int64_t rows = 0;
  double prompt_tokens = 0, image_tokens = 0;  // mean
};

class DryRunChecks {
 public:
  /// `config` must outlive this.
  explicit DryRunChecks(const GrpoConfig& config) : config_(config) {}

  std::string run_folder(const std::string& resume);
  std::string policy();
  std::string reference() const;
  std::string reward() const;
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

  const GrpoConfig& config_;
  std::optional<PromptBuilder> prompts_;  // once the policy is found good
  double num_weights_ = 0, weight_file_bytes_ = 0;
  DataFacts train_, held_out_;
};

}  // namespace caprl
