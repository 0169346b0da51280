#include "caprl/train/learner.h"

#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <cmath>
#include <span>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/io/safetensors.h"
#include "caprl/train/lr_schedule.h"

namespace caprl {
namespace {

constexpr const char* kOptimizerFile = "optimizer.safetensors";
/// The training weights themselves, for when model/ holds them in another dtype.
constexpr const char* kWeights = "weights";

std::string name_samples(const std::vector<std::string>& samples) {
  constexpr size_t kNamed = 8;
  const auto named = std::span(samples).first(std::min(samples.size(), kNamed));
  std::string text = fmt::format("samples {}", fmt::join(named, ", "));
  if (samples.size() > kNamed) text += fmt::format(" and {} more", samples.size() - kNamed);
  return text;
}

}  // namespace

Learner::Learner(std::filesystem::path model_dir, const std::filesystem::path& weights_dir,
                 const ModelOptions& options, const OptimizerConfig& optimizer)
    : model_dir_(std::move(model_dir)),
      config_(optimizer),
      model_(Model::load(weights_dir, options)),
      optimizer_(std::make_unique<AdamW>(model_->parameters(), optimizer)) {}

void Learner::begin() { optimizer_->zero_grad(); }

UpdateResult Learner::finish(int64_t step, int64_t total_steps, int64_t max_skipped,
                             const std::vector<std::string>& samples) {
  UpdateResult result;
  result.grad_norm = optimizer_->grad_norm();
  result.lr = learning_rate(config_, step, total_steps);
  result.skipped = !std::isfinite(result.grad_norm);
  skipped_in_a_row_ = result.skipped ? skipped_in_a_row_ + 1 : 0;
  if (result.skipped)
    log_error("step {}: the gradient is not finite; the update is skipped ({})", step,
              name_samples(samples));
  else
    optimizer_->step(result.lr, result.grad_norm);
  if (skipped_in_a_row_ >= max_skipped)
    throw Error(
        "step {}: {} updates in a row had a gradient that is not finite; giving up "
        "(train.max_skipped_steps); the last was of {}",
        step, skipped_in_a_row_, name_samples(samples));
  return result;
}

void Learner::save(const std::filesystem::path& folder) const {
  save_model(*model_, model_dir_, folder / "model");
  auto state = optimizer_->state();
  state.emplace_back(kWeights, model_->parameters().trainable_buffer().detach());
  write_safetensors(folder / kOptimizerFile, state);
}

void Learner::load_optimizer(const std::filesystem::path& folder) {
  const SafetensorsFile file(folder / kOptimizerFile);
  NamedTensors state;
  for (const auto& entry : file.entries()) state.emplace_back(entry.name, file.tensor(entry.name));
  optimizer_->load_state(state);
  at::NoGradGuard no_grad;
  model_->parameters().trainable_buffer().detach().copy_(file.tensor(kWeights));
}

std::string describe_training(const Model& model) {
  const Parameters& parameters = model.parameters();
  const int64_t trained = parameters.num_trainable();
  const int64_t all = trained + parameters.frozen_buffer().numel();
  return fmt::format("{} of {} parameters in {} of {} tensors are trained", trained, all,
                     parameters.trainable_slices().size(), parameters.specs().size());
}

}  // namespace caprl
