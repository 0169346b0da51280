// Where a run can be followed while it goes on: terminal, TensorBoard, Prometheus.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "caprl/core/dashboard.h"
#include "caprl/core/metrics.h"
#include "caprl/io/tensorboard.h"
#include "caprl/train/config.h"
#include "train/prometheus.h"

namespace caprl {

class LiveView {
 public:
  /// Listens for Prometheus if it is to. InputError if it cannot. `start_step`: steps that are done
  /// already.
  LiveView(const LogConfig& config, std::filesystem::path run_dir, at::Device device,
           int64_t total_steps, int64_t start_step);

  /// Once the run folder is there; `first_step` is the first that will be shown.
  void open(int64_t first_step);
  /// What is being done from now on.
  void phase(const std::string& name);
  void show(int64_t step, const Metrics& metrics, const std::vector<ProgressItem>& items,
            const std::string& caption);

 private:
  LogConfig config_;
  std::filesystem::path run_dir_;
  at::Device device_;
  int64_t total_steps_, start_step_;
  std::unique_ptr<PrometheusEndpoint> prometheus_;
  std::optional<TensorboardWriter> tensorboard_;  // once open
  std::optional<Dashboard> dashboard_;            // once open
};

}  // namespace caprl
