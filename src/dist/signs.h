// What a rank of a run says of itself, and what the others have seen of it.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace caprl {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

/// What a rank says of itself.
struct Sign {
  int64_t beat = 0;      // how often it has said so
  int64_t progress = 0;  // how often it has changed its place
  int64_t pulses = 0;
  bool waiting = false;
  std::string host, place;

  std::string text() const {
    return nlohmann::json({{"beat", beat},
                           {"progress", progress},
                           {"pulses", pulses},
                           {"waiting", waiting},
                           {"host", host},
                           {"place", place}})
        .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  static Sign parse(const std::string& text) {
    const auto json = nlohmann::json::parse(text);
    return {json.at("beat"),    json.at("progress"), json.at("pulses"),
            json.at("waiting"), json.at("host"),     json.at("place")};
  }
};

inline std::string name(int rank, const Sign& sign) {
  return fmt::format("rank {} on {} (at {})", rank, sign.host, sign.place);
}

/// Tells a thread that looks at its clock again and again that its process did not run meanwhile:
/// suspended with all others (Ctrl-Z, a scheduler's suspend), it has not seen them silent.
class Suspension {
 public:
  /// By how much more than `usual` has passed since the last call.
  Clock::duration since_last(Clock::time_point now, Milliseconds usual) {
    return std::max(Clock::duration::zero(), now - std::exchange(last_, now) - usual);
  }

 private:
  Clock::time_point last_ = Clock::now();
};

/// When another rank was last seen to live, and to get on with its work.
struct LastSeen {
  Sign sign{.beat = -1, .host = "unknown host", .place = "start"};
  Clock::time_point alive = Clock::now(), working = alive;

  void note(const Sign& now_seen, Clock::time_point now) {
    if (now_seen.beat != sign.beat) alive = now;
    if (now_seen.waiting || now_seen.pulses != sign.pulses || now_seen.progress != sign.progress)
      working = now;
    sign = now_seen;
  }
};

}  // namespace caprl
