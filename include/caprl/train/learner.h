// One model under training: the update, and what of it a checkpoint holds.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>

#include "caprl/models/model.h"
#include "caprl/train/optimizer.h"

namespace caprl {

/// Result of one optimizer step.
struct UpdateResult {
  double grad_norm = 0;  // before clipping
  double lr = 0;
  bool skipped = false;  // a gradient was not finite: nothing changed
};

/// Owns the model and its optimizer. Gradients accumulate by autograd's backward() between begin()
/// and finish().
class Learner {
 public:
  /// The model directory is the origin of tokenizer and config files too; `weights_dir` is where
  /// the weights come from (a checkpoint's model/ when a run is continued).
  Learner(std::filesystem::path model_dir, const std::filesystem::path& weights_dir,
          const ModelOptions& options, const OptimizerConfig& optimizer);

  Model& model() { return *model_; }
  const Model& model() const { return *model_; }

  void begin();
  /// `step` ≥ 1 of `total_steps` decides the learning rate. An update that is not finite is skipped
  /// and logged with `samples`, what it was made of; `max_skipped` of them in a row are an Error.
  UpdateResult finish(int64_t step, int64_t total_steps, int64_t max_skipped,
                      const std::vector<std::string>& samples);

  /// Writes model/ (a Hugging Face directory) and optimizer.safetensors.
  void save(const std::filesystem::path& folder) const;
  /// Reads optimizer.safetensors of a checkpoint whose model/ the constructor was given.
  void load_optimizer(const std::filesystem::path& folder);

  int64_t skipped_in_a_row() const { return skipped_in_a_row_; }
  void set_skipped_in_a_row(int64_t count) { skipped_in_a_row_ = count; }

 private:
  std::filesystem::path model_dir_;
  OptimizerConfig config_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<AdamW> optimizer_;
  int64_t skipped_in_a_row_ = 0;
};

/// "all 3.75 B parameters", "3.09 B of 3.75 B parameters are trained (language)": printed at the
/// start.
std::string describe_training(const Model& model);

}  // namespace caprl
