#include "caprl/train/learner.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <span>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"
#include "caprl/core/memory.h"
#include "caprl/io/safetensors.h"
#include "caprl/train/lr_schedule.h"

namespace caprl {
namespace {

std::string optimizer_file(int shard, int shards) {
  return shards == 1 ? "optimizer.safetensors"
                     : fmt::format("optimizer-{:05}-of-{:05}.safetensors", shard + 1, shards);
}

/// The training weights themselves, for when model/ holds them in another dtype.
constexpr const char* kWeights = "weights";

std::unique_ptr<Model> load_whole(const std::filesystem::path& dir, const ModelOptions& options) {
  auto model = Model::load(dir, options);
  if (model->parameters().num_trainable() == 0)
    throw InputError("config: 'policy.train': {} ({}) has no such parts: nothing would be trained",
                     dir.string(), model->traits().architecture);
  return model;
}

std::unique_ptr<Model> load_trainable(const std::filesystem::path& model_dir,
                                      const std::filesystem::path& weights_dir,
                                      const ModelOptions& options) {
  if (is_adapter(weights_dir) != options.lora.enabled() && weights_dir != model_dir)
    throw InputError("{} was saved {} adapters, but 'policy.lora_rank' is {}", weights_dir.string(),
                     is_adapter(weights_dir) ? "with" : "without", options.lora.rank);
  if (!options.lora.enabled()) return load_whole(weights_dir, options);
  auto model = Model::load(model_dir, options);
  if (weights_dir != model_dir) load_adapter(*model, model_dir, weights_dir);
  return model;
}

}  // namespace

Learner::Learner(const std::filesystem::path& model_dir, const std::filesystem::path& weights_dir,
                 const ModelOptions& options, const OptimizerConfig& optimizer, const Group& group,
                 const ParallelConfig& parallel)
    : Learner(model_dir, load_trainable(model_dir, weights_dir, options), optimizer, group,
              parallel) {}

Learner::Learner(std::filesystem::path model_dir, std::unique_ptr<Model> model,
                 const OptimizerConfig& optimizer, const Group& group,
                 const ParallelConfig& parallel)
    : model_dir_(std::move(model_dir)),
      config_(optimizer),
      group_(group),
      model_(std::move(model)),
      optimizer_(std::make_unique<AdamW>(model_->parameters(), optimizer, group, parallel)) {}

UpdateResult Learner::finish(int64_t step, int64_t total_steps, int64_t max_skipped,
                             const std::vector<std::string>& samples) {
  UpdateResult result;
  const auto begin = std::chrono::steady_clock::now();
  optimizer_->reduce();
  result.wait_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
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

std::function<void(const std::filesystem::path& folder)> Learner::snapshot(bool copied) const {
  const Shards& cut = optimizer_->shards();
  const bool adapters = model_->parameters().lora().enabled();
  NamedTensors weights, state;
  std::string adapter_config;
  if (group_.is_first() && adapters) {
    StoredAdapter adapter = stored_adapter(*model_, model_dir_);
    weights = std::move(adapter.tensors);
    adapter_config = std::move(adapter.config);
  } else if (group_.is_first()) {
    weights = stored_weights(*model_, model_dir_);
  }
  if (group_.is_first() || cut.ranks() > 1) {  // otherwise every rank has the same
    state = optimizer_->state();
    state.emplace_back(kWeights, local_weights());
  }
  if (copied) {
    copy_to_host("weights", weights);
    copy_to_host("state", state);
  }
  return [weights = std::move(weights), adapter_config = std::move(adapter_config),
          state = std::move(state), source = model_dir_,
          file = optimizer_file(optimizer_->shard(), cut.ranks())](
             const std::filesystem::path& folder) {
    if (!adapter_config.empty())
      save_adapter({weights, adapter_config}, source, folder / "model");
    else if (!weights.empty())
      save_model(weights, source, folder / "model");
    if (!state.empty()) write_safetensors(folder / file, state);
  };
}

/// Into memory that is there already from the second time on: new memory costs more than the copy.
void Learner::copy_to_host(const std::string& kind, NamedTensors& tensors) const {
  at::NoGradGuard no_grad;
  for (auto& [name, tensor] : tensors) {
    at::Tensor& copy = host_[kind + "/" + name];
    if (!copy.defined()) {
      copy = at::empty(tensor.sizes(),
                       at::TensorOptions(tensor.scalar_type()).pinned_memory(tensor.is_cuda()));
      if (!tensor.is_cuda())
        prefer_large_pages(copy.data_ptr(), static_cast<int64_t>(copy.nbytes()));
    }
    copy.copy_(tensor.detach());
    tensor = copy;
  }
}

/// The training weights of this rank's shard.
at::Tensor Learner::local_weights() const {
  const at::Tensor weights = model_->parameters().trainable_buffer().detach();
  const Shards& cut = optimizer_->shards();
  if (cut.ranks() == 1) return weights;
  at::Tensor local = at::zeros({cut.part_size()}, weights.options());
  for (const auto& piece : cut.pieces(optimizer_->shard()))
    local.narrow(0, piece.local, piece.range.size)
        .copy_(weights.narrow(0, piece.range.begin, piece.range.size));
  return local;
}

std::string Learner::fingerprint() const {
  constexpr int64_t kPiece = int64_t{1} << 26;  // values on the host at a time
  std::string hashes;
  for (const at::Tensor& buffer :
       {model_->parameters().trainable_buffer(), model_->parameters().frozen_buffer()})
    for (int64_t begin = 0; begin < buffer.numel(); begin += kPiece) {
      const at::Tensor piece =
          buffer.detach().narrow(0, begin, std::min(kPiece, buffer.numel() - begin)).to(at::kCPU);
      hashes += hash_bytes({static_cast<const std::byte*>(piece.const_data_ptr()), piece.nbytes()});
    }
  return hash_bytes(std::as_bytes(std::span(hashes)));
}

void Learner::load_optimizer(const std::filesystem::path& folder, const Shards& saved) {
  std::vector<NamedTensors> states;
  for (int r = 0; r < saved.ranks(); ++r) {
    const SafetensorsFile file(folder / optimizer_file(r, saved.ranks()));
    NamedTensors& state = states.emplace_back();
    for (const auto& entry : file.entries())
      state.emplace_back(entry.name, file.tensor(entry.name));
  }
  optimizer_->load_state(states, saved);
  at::NoGradGuard no_grad;
  const at::Tensor weights = model_->parameters().trainable_buffer().detach();
  for (int r = 0; r < saved.ranks(); ++r) {
    const auto found = std::ranges::find(states[r], kWeights, &NamedTensors::value_type::first);
    if (found == states[r].end())
      throw InputError("{}: tensor '{}' is missing",
                       (folder / optimizer_file(r, saved.ranks())).string(), kWeights);
    for (const auto& piece : saved.pieces(r))
      weights.narrow(0, piece.range.begin, piece.range.size)
          .copy_(found->second.narrow(0, piece.local, piece.range.size));
  }
}

std::string name_samples(std::span<const std::string> samples) {
  constexpr size_t kNamed = 8;
  const auto named = samples.first(std::min(samples.size(), kNamed));
  std::string text = fmt::format("samples {}", fmt::join(named, ", "));
  if (samples.size() > kNamed) text += fmt::format(" and {} more", samples.size() - kNamed);
  return text;
}

std::string describe_training(const Model& model) {
  const Parameters& parameters = model.parameters();
  const int64_t trained = parameters.num_trainable();
  const int64_t all = trained + parameters.frozen_buffer().numel();
  return fmt::format("{} of {} parameters in {} of {} tensors are trained", trained, all,
                     parameters.trainable_slices().size(), parameters.specs().size());
}

}  // namespace caprl
