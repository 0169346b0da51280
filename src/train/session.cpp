#include "train/session.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "caprl/checkpoint/checkpoint.h"
#include "caprl/checkpoint/state.h"
#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"

namespace caprl {
namespace {

/// Steps after `checkpoint` must not exist already: they could not be saved again.
void refuse_newer_steps(const RunFolder& folder, const std::filesystem::path& checkpoint) {
  const auto newest = find_checkpoint(folder.checkpoints());
  std::error_code error;
  if (!newest || std::filesystem::equivalent(*newest, checkpoint, error)) return;
  throw InputError(
      "--resume {}: {} already has checkpoints up to {}; continue from that one, take it away, or "
      "choose another run.dir",
      checkpoint.string(), folder.dir().string(), newest->filename().string());
}

StartPoint find_start(const RunFolder& folder, const std::string& resume) {
  std::optional<std::filesystem::path> checkpoint;
  if (resume == "never") {
    if (has_checkpoints(folder.checkpoints()))
      throw InputError(
          "{} already has checkpoints; continue it with --resume auto or choose another "
          "run.dir (--resume never does not overwrite)",
          folder.dir().string());
  } else if (resume == "auto") {
    checkpoint = find_checkpoint(folder.checkpoints());
    if (!checkpoint && has_checkpoints(folder.checkpoints()))
      throw InputError("{} has checkpoints, but none of them is complete",
                       folder.checkpoints().string());
  } else {
    checkpoint = resume;
  }
  if (!checkpoint) return {};
  const CheckpointInfo info = verify_checkpoint(*checkpoint);
  if (resume != "auto") refuse_newer_steps(folder, *checkpoint);
  return {info.step, checkpoint};
}

/// The processes of one machine share its cores.
void set_threads(int64_t threads, const Launch& launch) {
  if (threads == 0 && launch.local_world_size > 1)
    threads = std::max(1, at::get_num_threads() / launch.local_world_size);
  if (threads > 0) at::set_num_threads(static_cast<int>(threads));
}

nlohmann::json state_of(int64_t step, const Learner& learner) {
  const Shards& shards = learner.shards();
  return {{"step", step},
          {"skipped_in_a_row", learner.skipped_in_a_row()},
          {"shards",
           {{"num_values", shards.num_values()},
            {"ranks", shards.ranks()},
            {"bucket_values", shards.bucket_values()}}}};
}

void create_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw InputError("run.dir: {} cannot be created: {}", folder.string(), error.message());
}

}  // namespace

std::filesystem::path RunFolder::step_file(std::string_view kind, int64_t step) const {
  std::filesystem::create_directories(dir_ / kind);
  return dir_ / kind / fmt::format("step_{:06}.jsonl.zst", step);
}

Session::Session(const RunConfig& run, const CheckpointConfig& checkpoint, const std::string& yaml,
                 int64_t total_steps, const std::string& resume, World& world)
    : world_(world),
      folder_(run.dir),
      yaml_(yaml),
      checkpoint_(checkpoint),
      total_steps_(total_steps),
      device_(parse_device(run.device, group().launch().local_rank)),
      start_(find_start(folder_, resume)) {
  set_threads(run.threads, group().launch());
  if (world_.is_first()) progress_.emplace(total_steps, start_.step);
  if (start_.checkpoint)
    log_info("continuing from {} (step {})", start_.checkpoint->string(), start_.step);
}

std::filesystem::path Session::weights_dir(const std::filesystem::path& model_dir) const {
  return start_.checkpoint ? *start_.checkpoint / "model" : model_dir;
}

void Session::open(Learner& learner) {
  if (start_.checkpoint) load(learner);
  if (!world_.is_first()) return;
  create_folder(folder_.dir());
  metrics_.emplace(folder_.dir() / "metrics.jsonl", start_.checkpoint ? start_.step : -1);
  write_file_atomic(folder_.dir() / "config.yaml", yaml_);
}

void Session::load(Learner& learner) const {
  const auto state = load_state(*start_.checkpoint / "state.json");
  learner.set_skipped_in_a_row(state.at("skipped_in_a_row").get<int64_t>());
  const auto& shards = state.at("shards");
  learner.load_optimizer(*start_.checkpoint, Shards(shards.at("num_values"), shards.at("ranks"),
                                                    shards.at("bucket_values")));
}

void Session::record(int64_t step, const Metrics& metrics, const std::vector<ProgressItem>& items) {
  if (metrics_) metrics_->write(step, metrics);
  if (progress_) progress_->update(step, items);
}

void Session::save_if_due(int64_t step, Learner& learner) {
  if (step != total_steps_ && step % checkpoint_.save_freq != 0) return;
  learner.wait_for_weights();
  const Savers savers{world_.is_first(),
                      [&](const std::string& mine) { return group().gather_bytes(mine); }};
  save_checkpoint(
      folder_.checkpoints(), step, {.keep_last = checkpoint_.keep_last},
      [&](const std::filesystem::path& folder) {
        learner.save(folder);
        if (world_.is_first()) save_state(folder / "state.json", state_of(step, learner));
      },
      savers);
}

}  // namespace caprl
