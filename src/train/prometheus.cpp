#include "train/prometheus.h"

#include <chrono>
#include <set>

#include "caprl/core/error.h"
#include "caprl/core/memory.h"
#include "caprl/core/version.h"
#include "caprl/http/metrics_text.h"

namespace caprl {
namespace {

HttpServerConfig server_config(const LogConfig& log) {
  HttpServerConfig config;
  config.host = log.prometheus_host;
  config.port = log.prometheus_port;
  config.threads = 1;
  config.max_connections = 32;
  config.shutdown_timeout_s = 1;
  return config;
}

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

PrometheusEndpoint::PrometheusEndpoint(const LogConfig& config, std::string run_dir,
                                       int64_t total_steps, int64_t first_step)
    : run_dir_(std::move(run_dir)), total_steps_(total_steps), step_(first_step) {
  at_place("config: 'log.prometheus_port' and 'log.prometheus_host'", [&] {
    server_.emplace(server_config(config),
                    std::vector<HttpRoute>{
                        {"GET", "/metrics", [this](HttpRequest&&, HttpResponder&& responder) {
                           responder.answer({200, text(), MetricsText::kContentType});
                         }}});
  });
}

void PrometheusEndpoint::phase(const std::string& name) {
  const std::lock_guard lock(mutex_);
  for (auto& [phase, now] : phases_) now = false;
  phases_[name] = true;
}

void PrometheusEndpoint::update(int64_t step, const Metrics& metrics, const MemoryUse& memory) {
  const std::lock_guard lock(mutex_);
  step_ = step;
  updated_ = seconds_since_1970();
  memory_ = memory;
  for (const auto& [name, value] : metrics) metrics_[name] = value;
}

std::string PrometheusEndpoint::text() const {
  const std::lock_guard lock(mutex_);
  MetricsText text;
  text.gauge("caprl_run_info", "The folder of the run.", "dir", {{run_dir_, 1}});
  text.gauge("caprl_build_info", "The version of caprl.", "version", {{version(), 1}});
  text.gauge("caprl_steps", "Steps of the whole run.", static_cast<double>(total_steps_));
  text.gauge("caprl_step", "Steps that are done.", static_cast<double>(step_));
  text.gauge("caprl_step_time_seconds", "When the newest step was done, since 1970; 0: not yet.",
             updated_);
  if (!phases_.empty())
    text.gauge("caprl_phase", "1 of what is being done.", "phase",
               {phases_.begin(), phases_.end()});
  text.gauge("process_resident_memory_bytes", "Memory of the process.",
             static_cast<double>(resident_memory_bytes()));
  if (memory_.gpu_all > 0) {
    text.gauge("caprl_gpu_memory_used_bytes", "Memory of the GPU that is in use.",
               static_cast<double>(memory_.gpu_used));
    text.gauge("caprl_gpu_memory_bytes", "Memory of the GPU.",
               static_cast<double>(memory_.gpu_all));
  }
  std::set<std::string> names{"caprl_steps", "caprl_step", "caprl_phase"};
  for (const auto& [name, value] : metrics_) {
    std::string unique = "caprl_" + metric_name(name);
    while (!names.insert(unique).second) unique += '_';
    text.gauge(unique, name + " of the newest step that has it.", value);
  }
  return text.take();
}

}  // namespace caprl
