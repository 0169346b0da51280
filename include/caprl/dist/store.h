// The key-value store through which a run's processes find one another and say how they are.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "caprl/dist/launch.h"

namespace caprl {

/// A connection to the store of all processes, or, without others, one of this process alone. Every
/// call is an Error naming this rank if the store cannot be reached any more. One thread at a time;
/// another thread takes a clone().
class RunStore {
 public:
  /// The store of a process by itself.
  RunStore();
  /// Rank 0 opens the store at `launch.master_addr` unless the launcher has, the others connect to
  /// it; returns when all have come. Error naming the address that cannot be reached, or the ranks
  /// that have not come, within `timeout` (an unreachable address: at most half as long again), or
  /// that the port is taken.
  static RunStore connect(const Launch& launch, std::chrono::milliseconds timeout);

  RunStore clone() const;

  void set(const std::string& key, const std::string& value);
  /// Sets the key unless it is set already; what it holds then.
  std::string set_once(const std::string& key, const std::string& value);
  /// Whether the key is set within `timeout`.
  bool wait_for(const std::string& key, std::chrono::milliseconds timeout);
  std::optional<std::string> find(const std::string& key);
  void remove(const std::string& key);
  int64_t add(const std::string& key, int64_t amount);

  struct Impl;  // src/dist/run_store.h
  const Impl& impl() const { return *impl_; }

 private:
  explicit RunStore(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

}  // namespace caprl
