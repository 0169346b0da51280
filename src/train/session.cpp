#include "train/session.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "caprl/checkpoint/checkpoint.h"
#include "caprl/checkpoint/state.h"
#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/core/log.h"
#include "caprl/core/termination.h"
#include "caprl/core/version.h"

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

/// The newest checkpoint that is not damaged, those after it being put aside.
StartPoint find_undamaged(const std::filesystem::path& root) {
  for (const CheckpointEntry& entry : list_checkpoints(root)) {
    try {
      if (!entry.damage.empty()) throw Error("{}", entry.damage);
      return {verify_checkpoint(entry.folder).step, entry.folder, 0};
    } catch (const Error& error) {
      const auto aside = root / ("damaged_" + entry.folder.filename().string());
      log_warning("{}; it is put aside as {}", error.what(), aside.string());
      std::filesystem::rename(entry.folder, aside);
    }
  }
  return {};
}

StartPoint find_newest(const std::filesystem::path& root) {
  const auto checkpoint = find_checkpoint(root);
  if (!checkpoint) return {};
  return {verify_checkpoint(*checkpoint).step, checkpoint, 0};
}

StartPoint find_start(const RunFolder& folder, const std::string& resume) {
  const std::filesystem::path root = folder.checkpoints();
  if (resume == "never") {
    if (has_checkpoints(root))
      throw InputError(
          "{} already has checkpoints; continue it with --resume auto or choose another "
          "run.dir (--resume never does not overwrite)",
          folder.dir().string());
    return {};
  }
  if (resume == "auto" || resume == "undamaged") {
    const bool any = has_checkpoints(root);
    const StartPoint start = resume == "auto" ? find_newest(root) : find_undamaged(root);
    if (!start.checkpoint && any)
      throw InputError("{} has checkpoints, but none of them is complete", root.string());
    return start;
  }
  const StartPoint start{verify_checkpoint(resume).step, resume, 0};
  refuse_newer_steps(folder, *start.checkpoint);
  return start;
}

/// What rank 0 finds: the others need not read every byte of it, too.
StartPoint find_start(const RunFolder& folder, const std::string& resume, const Group& group) {
  StartPoint start;
  if (group.is_first()) start = find_start(folder, resume);
  const nlohmann::json mine = {{"step", start.step},
                               {"checkpoint", start.checkpoint.value_or("").string()}};
  const auto first = nlohmann::json::parse(group.gather_bytes(mine.dump())[0]);
  start.step = first.at("step");
  if (const std::string path = first.at("checkpoint"); !path.empty()) start.checkpoint = path;
  return start;
}

/// The processes of one machine share its cores.
void set_threads(int64_t threads, const Launch& launch) {
  if (threads == 0 && launch.local_world_size > 1)
    threads = std::max(1, at::get_num_threads() / launch.local_world_size);
  if (threads > 0) at::set_num_threads(static_cast<int>(threads));
}

/// A signal that any rank was sent, 0: none.
int agree_on_signal(const Group& group) {
  const int mine = termination_signal();
  for (const std::string& text : group.gather_bytes(std::to_string(mine)))
    if (text != "0") return std::stoi(text);
  return 0;
}

nlohmann::json state_of(int64_t step, int64_t data_batches, const Learner& learner) {
  const Shards& shards = learner.shards();
  return {{"caprl", version()},
          {"step", step},
          {"data_batches", data_batches},
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

Session::Session(const RunConfig& run, const CheckpointConfig& checkpoint, const LogConfig& log,
                 const std::string& yaml, int64_t total_steps, const std::string& resume,
                 World& world)
    : world_(world),
      folder_(run.dir),
      yaml_(yaml),
      checkpoint_(checkpoint),
      total_steps_(total_steps),
      device_(choose_device(run.device, group().launch().local_rank)),
      start_(find_start(folder_, resume, group())) {
  set_threads(run.threads, group().launch());
  if (world_.is_first())
    view_ = std::make_unique<LiveView>(log, run.dir, device_, total_steps, start_.step);
  if (start_.checkpoint)
    log_info("continuing from {} (step {})", start_.checkpoint->string(), start_.step);
}

std::filesystem::path Session::weights_dir(const std::filesystem::path& model_dir) const {
  return start_.checkpoint ? *start_.checkpoint / "model" : model_dir;
}

void Session::open(Learner& learner) {
  if (start_.checkpoint) load(learner);
  if (group().size() > 1) {
    require_equal(group(), "caprl's version", version());
    require_equal(group(), "the configuration's hash", hash_bytes(std::as_bytes(std::span(yaml_))));
    require_equal(group(), "the weights' hash", learner.fingerprint());
  }
  if (!world_.is_first()) return;
  create_folder(folder_.dir());
  for (const char* kind : {"", "rollouts", "eval"}) remove_unfinished(folder_.dir() / kind);
  if (start_.checkpoint)  // what the last save had no time for
    tidy_checkpoints(folder_.checkpoints(), checkpoint_.keep_last, checkpoint_.keep_best);
  const int64_t last_step = start_.checkpoint ? start_.step : -1;
  metrics_.emplace(folder_.dir() / "metrics.jsonl", last_step);
  view_->open(last_step + 1);
  write_file_atomic(folder_.dir() / "config.yaml", yaml_);
}

void Session::load(Learner& learner) {
  const auto file = *start_.checkpoint / "state.json";
  const auto state = load_state(file);
  try {
    load(state, learner);
  } catch (const nlohmann::json::exception& error) {
    throw InputError("{}: written by caprl {}, which caprl {} cannot continue: {}", file.string(),
                     state.is_object() ? state.value("caprl", "of another version") : "unknown",
                     version(), error.what());
  }
}

void Session::load(const nlohmann::json& state, Learner& learner) {
  start_.data_batches = state.at("data_batches").get<int64_t>();
  learner.set_skipped_in_a_row(state.at("skipped_in_a_row").get<int64_t>());
  const auto& shards = state.at("shards");
  learner.load_optimizer(*start_.checkpoint, Shards(shards.at("num_values"), shards.at("ranks"),
                                                    shards.at("bucket_values")));
}

std::string Session::at(int64_t step, const std::string& phase, const std::string& details) {
  const std::string place = fmt::format("step {}, {}", step, phase);
  world_.at(place + details);
  if (view_) view_->phase(phase);
  return place;
}

void Session::record(int64_t step, const Metrics& metrics, const std::vector<ProgressItem>& items,
                     const std::string& caption) {
  if (metrics_) metrics_->write(step, metrics);
  if (view_) view_->show(step, metrics, items, caption);
}

void Session::end_step(int64_t step, const Metrics& metrics, Learner& learner,
                       int64_t data_batches) {
  const bool written =
      saving_.valid() && saving_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  if (written) finish_saving();  // throws what failed
  const int signal = agree_on_signal(group());
  const bool last = step == total_steps_;
  if (last || signal != 0 || step % checkpoint_.save_freq == 0) {
    at(step, "save");
    save(step, metrics, learner, data_batches);
  }
  if (last || signal != 0) finish_saving();
  if (signal != 0 && !last)
    throw Stopped("stopped by signal {} after step {} of {}; the same command goes on from there",
                  signal, step, total_steps_);
}

void Session::save(int64_t step, const Metrics& metrics, Learner& learner, int64_t data_batches) {
  finish_saving();
  learner.wait_for_weights();
  CheckpointOptions options;
  options.keep_last = checkpoint_.keep_last;
  options.keep_best = checkpoint_.keep_best;
  if (const auto score = metrics.find(checkpoint_.best_metric); score != metrics.end())
    options.score = score->second;
  if (!savers_) savers_.emplace(group(), "checkpoint");
  const Savers savers{world_.is_first(),
                      [this](const std::string& mine) { return savers_->gather(mine); }};
  auto write = [root = folder_.checkpoints(), step, options, savers,
                content = learner.snapshot(checkpoint_.async_save),
                state = state_of(step, data_batches, learner)] {
    save_checkpoint(
        root, step, options,
        [&](const std::filesystem::path& folder) {
          content(folder);
          if (savers.first) save_state(folder / "state.json", state);
        },
        savers);
  };
  saving_ = std::async(checkpoint_.async_save ? std::launch::async : std::launch::deferred,
                       std::move(write));
  if (!checkpoint_.async_save) finish_saving();
}

void Session::run(const std::function<void()>& steps) {
  try {
    steps();
  } catch (const CollectiveError&) {
    if (savers_) savers_->abandon();
    throw;
  }
}

/// Waits for the checkpoint that is being written.
void Session::finish_saving() {
  if (saving_.valid()) saving_.get();
}

}  // namespace caprl
