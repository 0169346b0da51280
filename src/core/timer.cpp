#include "caprl/core/timer.h"

#include <utility>

namespace caprl {

PhaseTimers::Scope::Scope(PhaseTimers& timers, std::string phase)
    : timers_(timers), phase_(std::move(phase)), start_(std::chrono::steady_clock::now()) {}

PhaseTimers::Scope::~Scope() {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  timers_.seconds_[phase_] += elapsed.count();
}

Metrics PhaseTimers::take() {
  Metrics metrics;
  for (const auto& [phase, seconds] : std::exchange(seconds_, {}))
    metrics["timing_s/" + phase] = seconds;
  return metrics;
}

}  // namespace caprl
