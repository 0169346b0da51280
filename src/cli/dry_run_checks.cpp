#include "cli/dry_run_checks.h"

#include <ATen/DeviceAccelerator.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "caprl/checkpoint/checkpoint.h"
#include "caprl/core/error.h"
#include "caprl/core/memory.h"
#include "caprl/data/validate.h"
#include "caprl/io/weight_files.h"
#include "caprl/reward/reward.h"
#include "cli/units.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
constexpr size_t kFaultsShown = 5;

/// Names, shapes and headers are checked as training does, but no memory is taken.
std::unique_ptr<Model> load_without_weights(const std::string& dir, const std::string& dtype,
                                            TrainedParts train, const char* key,
                                            const LoraConfig& lora = {}) {
  return Model::load(dir, {.dtype = parse_dtype(dtype, fmt::format("config: '{}'", key)),
                           .device = at::kMeta,
                           .train = train,
                           .lora = lora});
}

double num_weights(const Model& model) {
  return static_cast<double>(model.parameters().trainable_buffer().numel() +
                             model.parameters().frozen_buffer().numel());
}

double bytes_of_files(const WeightFiles& weights) {
  double bytes = 0;
  for (const std::string& name : weights.names())
    bytes += static_cast<double>(weights.entry(name).end - weights.entry(name).begin);
  return bytes;
}

/// The folder itself or the nearest one above it that exists.
fs::path existing_folder(fs::path folder) {
  folder = fs::absolute(folder);
  while (!fs::exists(folder) && folder != folder.root_path()) folder = folder.parent_path();
  return folder;
}

std::string list_faults(const std::vector<std::string>& faults) {
  std::string text;
  for (size_t i = 0; i < std::min(faults.size(), kFaultsShown); ++i) text += "\n" + faults[i];
  if (faults.size() > kFaultsShown)
    text += fmt::format("\n… and {} more (caprl data validate lists all)",
                        count_text(static_cast<int64_t>(faults.size() - kFaultsShown)));
  return text;
}

}  // namespace

std::string DryRunChecks::run_folder(const std::string& resume) {
  const fs::path dir = config_.run.dir, root = dir / "checkpoints";
  const fs::path existing = existing_folder(dir);
  if (!fs::is_directory(existing))
    throw InputError("run.dir: {} cannot be created: {} is a file", dir.string(),
                     existing.string());
  if (::access(existing.c_str(), W_OK | X_OK) != 0)
    throw InputError("run.dir: {} cannot be written: {}: {}", dir.string(), existing.string(),
                     std::strerror(errno));
  if (resume == "never" && has_checkpoints(root))
    throw InputError("{} already has checkpoints; --resume never does not overwrite", dir.string());
  if (resume == "never" || (resume == "auto" && !has_checkpoints(root)))
    return fmt::format("{}: starts at step 1", dir.string());
  std::optional<fs::path> checkpoint = resume;
  if (resume == "auto" || resume == "undamaged") checkpoint = find_checkpoint(root);
  if (!checkpoint && resume == "undamaged")
    return fmt::format("{}: starts at step 1", dir.string());
  if (!checkpoint)
    throw InputError("{} has checkpoints, but none of them is complete", root.string());
  return fmt::format("{}: continues after step {}", dir.string(),
                     verify_checkpoint(*checkpoint).step);
}

std::string DryRunChecks::policy() {
  const std::string& dir = config_.policy.model;
  const auto model = load_without_weights(dir, config_.policy.dtype, config_.policy.train,
                                          "policy.dtype", config_.policy.lora);
  if (config_.rows == RowKind::kCaption && !model->traits().image_token_id)
    throw InputError("{}: expected a vision-language model, got {}", dir,
                     model->traits().architecture);
  num_weights_ = num_weights(*model);
  num_trained_ = static_cast<double>(model->parameters().num_trainable());
  weight_file_bytes_ = bytes_of_files(WeightFiles::open(dir));
  prompts_.emplace(dir, config_.policy.chat_template, model->traits(),
                   config_.data.max_prompt_length);
  return fmt::format("{}: {}, {:.2f} billion weights, {} of files", dir,
                     model->traits().architecture, num_weights_ / 1e9,
                     bytes_text(weight_file_bytes_));
}

std::string DryRunChecks::data(const std::vector<std::string>& files, DataFacts& facts) const {
  if (!prompts_) throw InputError("not read: it takes the policy's tokenizer");
  std::vector<std::string> faults;
  int64_t rows = 0, bad = 0;
  bool unusable = false;
  double tokens = 0, image_tokens = 0, response_tokens = 0;
  int64_t longest = 0;
  facts.longest_response = 0;
  for (const ValidationCounts& counts : validate_data(
           files, config_.rows, *prompts_,
           [&](const std::string& fault) { faults.push_back(fault); }, ImageCheck::kHeader)) {
    rows += counts.rows;
    bad += counts.bad;
    unusable |= counts.unusable;
    tokens += static_cast<double>(counts.prompt_tokens);
    image_tokens += static_cast<double>(counts.image_tokens);
    longest = std::max(longest, counts.longest_prompt);
    response_tokens += static_cast<double>(counts.response_tokens);
    facts.longest_response = std::max(facts.longest_response, counts.longest_response);
  }
  facts.rows = rows - bad;
  const auto good = static_cast<double>(std::max<int64_t>(1, facts.rows));
  facts.prompt_tokens = tokens / good;
  facts.image_tokens = image_tokens / good;
  facts.response_tokens = response_tokens / good;
  const bool skips = config_.data.bad_rows == BadRows::kSkip && !unusable && facts.rows > 0;
  if (!faults.empty() && !skips)
    throw InputError("{} of {} rows are bad{}", count_text(bad), count_text(rows),
                     list_faults(faults));
  std::string text =
      facts.image_tokens > 0
          ? fmt::format(
                "{} rows, every image's header read; prompts of {:.0f} tokens, {:.0f} of "
                "them the image's, at most {}",
                count_text(facts.rows), facts.prompt_tokens, facts.image_tokens,
                count_text(longest))
          : fmt::format("{} rows; prompts of {:.0f} tokens, at most {}", count_text(facts.rows),
                        facts.prompt_tokens, count_text(longest));
  if (config_.rows == RowKind::kSft)
    text += fmt::format("; responses of {:.0f}, at most {}", facts.response_tokens,
                        count_text(facts.longest_response));
  if (bad > 0)
    text += fmt::format("; {} bad rows are skipped{}", count_text(bad), list_faults(faults));
  return text;
}

/// A new checkpoint is whole before an older one is deleted.
std::string DryRunChecks::disk() const {
  const CheckpointConfig& saving = config_.checkpoint;
  const double values = config_.policy.dtype == "bfloat16"  ? 2 + 4 + 8
                        : config_.policy.dtype == "float64" ? 24
                                                            : 12;
  // Of adapters, themselves alone; optimizer state and weights as training has them of what is
  // trained.
  const double model = config_.policy.lora.enabled()
                           ? num_trained_ * (config_.policy.dtype == "bfloat16" ? 2 : 4)
                           : weight_file_bytes_;
  const double one = model + num_trained_ * values;
  const int64_t written = (config_.total_steps + saving.save_freq - 1) / saving.save_freq;
  const int64_t most = std::min(written, saving.keep_last + saving.keep_best + 1);
  double there = 0;
  const fs::path root = fs::path(config_.run.dir) / "checkpoints";
  if (has_checkpoints(root))
    for (const CheckpointEntry& entry : list_checkpoints(root))
      there += static_cast<double>(entry.bytes);
  const fs::path folder = existing_folder(config_.run.dir);
  const auto free = static_cast<double>(fs::space(folder).available);
  const double needed = std::max(0.0, one * static_cast<double>(most) - there);
  const std::string what =
      fmt::format("{} checkpoints of {} at a time need {}; {} has {} free", most, bytes_text(one),
                  bytes_text(needed), folder.string(), bytes_text(free));
  if (needed > free)
    throw InputError("{}: choose a smaller checkpoint.keep_last or keep_best, or another run.dir",
                     what);
  return what;
}

std::string DryRunChecks::device(int local_rank, int ranks) const {
  ParallelConfig::check_batch(config_.data.train_batch_size, ranks);
  const at::Device device = choose_device(config_.run.device, local_rank);
  if (device.is_cpu())
    return fmt::format("cpu, {} of memory available",
                       bytes_text(static_cast<double>(available_memory_bytes())));
  const auto [free, all] = at::accelerator::getMemoryInfo(device.index());
  return fmt::format("{}, {} of {} free", device.str(), bytes_text(static_cast<double>(free)),
                     bytes_text(static_cast<double>(all)));
}

std::string check_reference(const GrpoConfig& config) {
  const std::string& dir =
      config.reference.model.empty() ? config.policy.model : config.reference.model;
  const auto model =
      load_without_weights(dir, config.reference.dtype, TrainedParts::kNone, "reference.dtype");
  return fmt::format("{}: {}", dir, model->traits().architecture);
}

std::string check_reward(const GrpoConfig& config) {
  const RewardModel model(config.reward, static_cast<uint64_t>(config.run.seed), at::kMeta);
  const AnswererConfig& answerer = config.reward.answerer;
  if (!answerer.model.empty()) return answerer.model;
  if (answerer.servers.url.empty()) return "terms without questions";
  return fmt::format("answered by {}", fmt::join(answerer.servers.url, ", "));
}

}  // namespace caprl
