// No rank of a run outlives another: each says that it lives, and ends itself when one does not.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "caprl/dist/launch.h"
#include "caprl/dist/store.h"

namespace caprl {

/// A thread that, through the run's store, says every second or less that this rank lives and where
/// it is, and reads whether a rank has failed. If one has, or has for `timeout` not been heard of
/// by rank 0 (rank 0: by the others), or hangs, i.e. has for as long neither come to another place
/// nor done a piece of work (core/pulse.h) nor been Waiting, or the store is gone or has not
/// answered for twice as long, it says which, where and why, and ends this process with std::_Exit:
/// its other threads may wait for ever in a collective. Time in which this process was suspended
/// does not count: a run all of whose ranks are (Ctrl-Z, a scheduler's suspend) goes on afterwards.
/// Of one process alone: nothing.
class Watchdog {
 public:
  Watchdog(const Launch& launch, const RunStore& store, std::chrono::milliseconds timeout);
  /// Says goodbye. Rank 0, which may hold the store, waits until the others have done so: at most
  /// `timeout`, or a moment after a failure.
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Where this rank is, for the message of a failure: "step 12, rollout, samples a, b".
  void at(const std::string& place);

  struct Verdict {
    std::string message;  // "rank 2 on host7 (at step 12, reward): …"
    int exit_code;
    bool mine;  // no other rank failed before
  };
  /// This rank has failed with `message`: the others end, too, with `exit_code`. What is said of
  /// the run: that, with the names of ranks behind this one, which it may have waited for; or why
  /// another rank failed earlier, which is then the reason. Nothing of one process alone.
  std::optional<Verdict> fail(const std::string& message, int exit_code);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // null: one process
};

}  // namespace caprl
