// One model under training: the update, and what of it a checkpoint holds.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "caprl/dist/group.h"
#include "caprl/models/model.h"
#include "caprl/train/optimizer.h"

namespace caprl {

/// Result of one optimizer step.
struct UpdateResult {
  double grad_norm = 0;  // before clipping
  double lr = 0;
  bool skipped = false;     // a gradient was not finite: nothing changed
  double wait_seconds = 0;  // until the other ranks had their gradients
};

/// Owns the model and its optimizer. A step is begin(n), n times begin_pass() · forward · backward
/// · end_pass(), finish(). Of several ranks each makes passes over its share of the step.
class Learner {
 public:
  /// The model directory is the origin of tokenizer and config files too; `weights_dir` is where
  /// the weights come from (a checkpoint's model/ when a run is continued), with adapters what is
  /// trained of them. InputError if the one has adapters and the other has not.
  Learner(const std::filesystem::path& model_dir, const std::filesystem::path& weights_dir,
          const ModelOptions& options, const OptimizerConfig& optimizer, const Group& group,
          const ParallelConfig& parallel);
  /// The same with a model that is there already, some of it trainable.
  Learner(std::filesystem::path model_dir, std::unique_ptr<Model> model,
          const OptimizerConfig& optimizer, const Group& group, const ParallelConfig& parallel);

  Model& model() { return *model_; }
  const Model& model() const { return *model_; }

  void begin(int64_t passes) { optimizer_->begin(passes); }
  void begin_pass() { optimizer_->begin_pass(); }
  void end_pass() { optimizer_->end_pass(); }
  /// `step` ≥ 1 of `total_steps` decides the learning rate. An update that is not finite is skipped
  /// and logged with `samples`, what it was made of on this rank; `max_skipped` of them in a row
  /// are an Error. All ranks' weights are on their way afterwards: wait_for_weights().
  UpdateResult finish(int64_t step, int64_t total_steps, int64_t max_skipped,
                      const std::vector<std::string>& samples);

  void wait_for_weights() { optimizer_->wait_for_weights(); }

  /// This rank's part of a checkpoint as it is now, to be written to a folder by what is returned:
  /// optimizer.safetensors, or optimizer-00002-of-00004.safetensors, and of rank 0 model/ (a
  /// Hugging Face directory; of adapters a PEFT directory). `copied`: to memory of its own, so that
  /// training may go on meanwhile; the next such snapshot uses the same memory.
  std::function<void(const std::filesystem::path& folder)> snapshot(bool copied) const;
  /// How the files of the optimizer were cut; what load_optimizer() must be told.
  const Shards& shards() const { return optimizer_->shards(); }
  /// Reads the optimizer of a checkpoint whose model/ the constructor was given. It may have been
  /// saved by another number of ranks.
  void load_optimizer(const std::filesystem::path& folder, const Shards& saved);

  /// Hash of all weights' bytes.
  std::string fingerprint() const;

  int64_t skipped_in_a_row() const { return skipped_in_a_row_; }
  void set_skipped_in_a_row(int64_t count) { skipped_in_a_row_ = count; }

 private:
  at::Tensor local_weights() const;
  void copy_to_host(const std::string& kind, NamedTensors& tensors) const;

  std::filesystem::path model_dir_;
  OptimizerConfig config_;
  const Group& group_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<AdamW> optimizer_;
  int64_t skipped_in_a_row_ = 0;
  mutable std::map<std::string, at::Tensor> host_;  // of snapshots
};

/// "samples a, b, c and 5 more", for messages.
std::string name_samples(std::span<const std::string> samples);

/// "all 3.75 B parameters", "3.09 B of 3.75 B parameters are trained (language)": printed at the
/// start.
std::string describe_training(const Model& model);

}  // namespace caprl
