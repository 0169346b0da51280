// What every training run has around its steps: the run folder, where to start, the log, the
// checkpoints.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/core/metrics.h"
#include "caprl/core/progress.h"
#include "caprl/dist/world.h"
#include "caprl/train/config.h"
#include "caprl/train/learner.h"
#include "train/live_view.h"

namespace caprl {

class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path dir) : dir_(std::move(dir)) {}
  const std::filesystem::path& dir() const { return dir_; }
  std::filesystem::path checkpoints() const { return dir_ / "checkpoints"; }
  /// RUN/<kind>/step_000120.jsonl.zst, its folder created.
  std::filesystem::path step_file(std::string_view kind, int64_t step) const;

 private:
  std::filesystem::path dir_;
};

/// Where training begins.
struct StartPoint {
  int64_t step = 0;                                 // steps already done
  std::optional<std::filesystem::path> checkpoint;  // verified
  int64_t data_batches = 0;                         // of rows, used in these steps; once open
};

/// Of several ranks all read checkpoints and write their parts of new ones; the run folder's other
/// files, the log and the live view are rank 0's.
class Session {
 public:
  /// `resume`: "auto" continues from the newest complete checkpoint of the run folder, or starts if
  /// there is none; "never" refuses a folder that has checkpoints; anything else is a checkpoint's
  /// folder. Writes nothing.
  template <class Config>
  Session(const Config& config, int64_t total_steps, const std::string& resume, World& world)
      : Session(config.run, config.checkpoint, config.log, config_to_yaml(config), total_steps,
                resume, world) {}

  const RunFolder& folder() const { return folder_; }
  const StartPoint& start() const { return start_; }
  at::Device device() const { return device_; }
  World& world() const { return world_; }
  const Group& group() const { return world_.group(); }
  /// Where the model's weights come from: the checkpoint, or the model directory.
  std::filesystem::path weights_dir(const std::filesystem::path& model_dir) const;
  /// Once models and data are found good: reads optimizer state and counters of the checkpoint, if
  /// there is one, then creates the run folder with its config.yaml.
  void open(Learner& learner);
  /// What is being done from now on, "gen"; `details` are for the message of a failure. Gives the
  /// place as that message names it, "step 12, gen".
  std::string at(int64_t step, const std::string& phase, const std::string& details = "");
  /// Appends a line to RUN/metrics.jsonl and shows the figures to who follows the run, `items` and
  /// `caption` on the terminal.
  void record(int64_t step, const Metrics& metrics, const std::vector<ProgressItem>& items,
              const std::string& caption = "");
  /// Saves a checkpoint if it is time for one; with checkpoint.async_save it is written while
  /// training goes on, and what fails then is thrown by the next call. Stopped, after a checkpoint
  /// is written, if any rank was told to end. `data_batches`: of rows, used so far.
  void end_step(int64_t step, const Metrics& metrics, Learner& learner, int64_t data_batches);
  /// `steps`; if a rank is gone in them, a checkpoint that is being written is given up.
  void run(const std::function<void()>& steps);

 private:
  Session(const RunConfig& run, const CheckpointConfig& checkpoint, const LogConfig& log,
          const std::string& yaml, int64_t total_steps, const std::string& resume, World& world);
  void load(Learner& learner);
  void load(const nlohmann::json& state, Learner& learner);
  void save(int64_t step, const Metrics& metrics, Learner& learner, int64_t data_batches);
  void finish_saving();

  World& world_;
  RunFolder folder_;
  std::string yaml_;
  CheckpointConfig checkpoint_;
  int64_t total_steps_;
  at::Device device_;
  StartPoint start_;
  std::optional<MetricsLogger> metrics_;  // once open, of rank 0
  std::unique_ptr<LiveView> view_;        // of rank 0
  std::optional<SideChannel> savers_;     // of the thread that writes a checkpoint
  std::future<void> saving_;
};

}  // namespace caprl
