// How long the phases of a step take.
#pragma once
#include <chrono>
#include <string>

#include "caprl/core/metrics.h"

namespace caprl {

/// Adds up wall-clock seconds by phase. Not thread safe.
///   { const auto timed = timers.measure("gen"); generate(…); }
///   timers.take()  →  {"timing_s/gen": 1.25}
class PhaseTimers {
 public:
  /// Counts its lifetime. The PhaseTimers must outlive it.
  class Scope {
   public:
    Scope(PhaseTimers& timers, std::string phase);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    PhaseTimers& timers_;
    std::string phase_;
    std::chrono::steady_clock::time_point start_;
  };

  [[nodiscard]] Scope measure(std::string phase) { return Scope(*this, std::move(phase)); }
  /// "timing_s/<phase>" of every finished phase since the last call, and starts again.
  Metrics take();

 private:
  std::map<std::string, double> seconds_;
};

}  // namespace caprl
