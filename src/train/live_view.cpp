#include "train/live_view.h"

#include "train/memory_use.h"

namespace caprl {
namespace {

std::vector<ProgressItem> memory_items(const MemoryUse& use) {
  constexpr double kGigabyte = 1e9;
  std::vector<ProgressItem> items{
      {"memory", static_cast<double>(use.resident) / kGigabyte, 1, "GB"}};
  if (use.gpu_all > 0)
    items.push_back({"GPU", static_cast<double>(use.gpu_used) / kGigabyte, 1,
                     fmt::format("of {:.1f} GB", static_cast<double>(use.gpu_all) / kGigabyte)});
  return items;
}

}  // namespace

LiveView::LiveView(const LogConfig& config, std::filesystem::path run_dir, at::Device device,
                   int64_t total_steps, int64_t start_step)
    : config_(config),
      run_dir_(std::move(run_dir)),
      device_(device),
      total_steps_(total_steps),
      start_step_(start_step) {
  if (config.prometheus_port > 0)
    prometheus_ =
        std::make_unique<PrometheusEndpoint>(config, run_dir_.string(), total_steps, start_step);
}

void LiveView::open(int64_t first_step) {
  if (config_.tensorboard) tensorboard_.emplace(run_dir_ / "tensorboard", first_step);
  dashboard_.emplace(total_steps_, start_step_);
}

void LiveView::phase(const std::string& name) {
  if (prometheus_) prometheus_->phase(name);
  if (dashboard_) dashboard_->phase(name);
}

void LiveView::show(int64_t step, const Metrics& metrics, const std::vector<ProgressItem>& items,
                    const std::string& caption) {
  if (tensorboard_) tensorboard_->write(step, metrics);
  const MemoryUse memory = memory_use(device_);
  if (prometheus_) prometheus_->update(step, metrics, memory);
  if (dashboard_) dashboard_->update(step, items, memory_items(memory), caption);
}

}  // namespace caprl
