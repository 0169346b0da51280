#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "caprl/core/pulse.h"
#include "caprl/core/termination.h"
#include "caprl/http/client.h"
#include "debug_log.h"

namespace caprl {
namespace {

using SteadyClock = std::chrono::steady_clock;

bool is_passing(const HttpResult& result) {
  if (result.failure)
    return result.failure == HttpFailure::kResolve || result.failure == HttpFailure::kConnect ||
           result.failure == HttpFailure::kTimeout;
  return result.status == 429 || (result.status >= 502 && result.status <= 504);
}

double seconds_until(SteadyClock::time_point when) {
  return std::chrono::duration<double>(when - SteadyClock::now()).count();
}

/// False: a signal asks the process to stop.
bool sleep_until(SteadyClock::time_point when) {
  constexpr double kSlice = 0.1;
  for (double left; (left = seconds_until(when)) > 0;) {
    if (termination_signal() != 0) return false;
    pulse();
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, kSlice)));
  }
  return termination_signal() == 0;
}

}  // namespace

HttpResult retry_http(const HttpRetryConfig& config, const CounterRng& random, uint64_t id,
                      const std::function<HttpResult(double)>& attempt) {
  const auto deadline = SteadyClock::now() + std::chrono::duration_cast<SteadyClock::duration>(
                                                 std::chrono::duration<double>(config.deadline_s));
  for (int64_t number = 1;; ++number) {
    HttpResult result = attempt(seconds_until(deadline));
    result.attempts = number;
    log_debug(
        fmt::format("http: attempt {} of {}: {}", number, config.max_attempts, result.describe()));
    if (!is_passing(result) || number >= config.max_attempts) return result;
    const double longest = std::min(config.max_delay_s,
                                    std::ldexp(config.first_delay_s, static_cast<int>(number) - 1));
    const double delay =
        result.retry_after_s + longest * random.uniform(id, static_cast<uint64_t>(number));
    if (delay >= seconds_until(deadline)) return result;
    log_debug(fmt::format("http: the next attempt is in {:.3f} seconds", delay));
    if (!sleep_until(SteadyClock::now() + std::chrono::duration_cast<SteadyClock::duration>(
                                              std::chrono::duration<double>(delay))))
      return result;
  }
}

}  // namespace caprl
