// All processes of a run, watched: what a trainer is given.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "caprl/dist/group.h"
#include "caprl/dist/watchdog.h"

namespace caprl {

class World {
 public:
  /// This process alone.
  World();
  static World& alone() {
    static World world;
    return world;
  }
  /// Meets the others within `timeout` (RunStore::connect), is watched from then on (Watchdog) and
  /// connects to each (Group::connect).
  World(const Launch& launch, at::Device device, std::chrono::milliseconds timeout,
        std::chrono::milliseconds collective_timeout);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  const Group& group() const { return group_; }
  bool is_first() const { return group_.is_first(); }
  /// Where this rank is, for the message of a failure.
  void at(const std::string& place) { watchdog_->at(place); }

  /// `work`; what it throws ends the other ranks, too. Throws why the run ends, which may be an
  /// earlier failure of another rank: an Error, or InputError, of that exit code.
  void run(const std::function<void()>& work);

 private:
  Group group_;
  std::unique_ptr<Watchdog> watchdog_;
};

}  // namespace caprl
