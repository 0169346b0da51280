// A run's newest figures for Prometheus.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "caprl/core/metrics.h"
#include "caprl/http/server.h"
#include "caprl/train/config.h"
#include "train/memory_use.h"

namespace caprl {

/// Answers GET /metrics in Prometheus's text format. Thread-safe.
class PrometheusEndpoint {
 public:
  /// Listens. InputError if it cannot.
  PrometheusEndpoint(const LogConfig& config, std::string run_dir, int64_t total_steps,
                     int64_t first_step);

  void phase(const std::string& name);
  /// A figure that the step has not stays as it was: held-out rewards are rare.
  void update(int64_t step, const Metrics& metrics, const MemoryUse& memory);

 private:
  std::string text() const;

  const std::string run_dir_;
  const int64_t total_steps_;
  mutable std::mutex mutex_;  // of what follows
  int64_t step_;
  double updated_ = 0;  // seconds since 1970
  std::map<std::string, bool> phases_;
  Metrics metrics_;
  MemoryUse memory_;
  std::optional<HttpServer> server_;  // last: its threads use the others
};

}  // namespace caprl
