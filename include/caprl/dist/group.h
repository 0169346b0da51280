// The processes of a run and what they do together: torch's c10d, with NCCL on GPUs and Gloo on
// CPUs.
#pragma once
#include <ATen/core/Tensor.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caprl/core/error.h"
#include "caprl/dist/launch.h"
#include "caprl/dist/store.h"

namespace caprl {

/// A collective did not end: another rank is gone, or too slow.
class CollectiveError : public Error {
 public:
  using Error::Error;
};

/// A collective that has begun: the tensors it was given are its own until wait() returns. On a GPU
/// wait() makes the current stream wait, not the host.
class Pending {
 public:
  Pending() = default;  // nothing to wait for
  explicit Pending(std::function<void()> wait) : wait_(std::move(wait)) {}
  /// CollectiveError naming the collective and this rank if it failed or took longer than the time
  /// limit.
  void wait() {
    if (wait_) std::exchange(wait_, nullptr)();
  }

 private:
  std::function<void()> wait_;
};

enum class Reduction { kSum, kMax, kMin };

/// All processes of a run, in which every one calls the same collectives in the same order. Of one
/// process that no launcher started: every collective does what it would with itself, without c10d. Tensors are
/// contiguous, of the group's device, of any dtype of numbers. One thread at a time.
class Group {
 public:
  Group();
  static const Group& alone();
  /// Of all that have met at `store`: connects each with each; neither that nor a collective may
  /// take longer than `collective_timeout`. A rank that dies meanwhile is waited for: see Watchdog.
  static Group connect(const Launch& launch, const RunStore& store, at::Device device,
                       std::chrono::milliseconds collective_timeout);

  int rank() const { return launch_.rank; }
  int size() const { return launch_.world_size; }
  bool is_first() const { return rank() == 0; }
  /// Whether number `i` of a list that the ranks take turns with is this rank's.
  bool is_mine(int64_t i) const { return i % size() == rank(); }
  const Launch& launch() const { return launch_; }
  const RunStore& store() const { return store_; }

  /// In place, every rank's values become the sum (maximum, minimum) of all of them.
  Pending all_reduce(at::Tensor values, Reduction reduction = Reduction::kSum) const;
  /// `part` [n] of rank r becomes the sum of all ranks' `whole` [size · n] at r · n.
  Pending reduce_scatter(at::Tensor part, at::Tensor whole) const;
  /// `whole` [size · n] becomes all ranks' `part` [n], in their order. `part` may be the rank's own
  /// place in `whole`.
  Pending all_gather(at::Tensor whole, at::Tensor part) const;
  /// In place, every rank's values become those of `root`.
  Pending broadcast(at::Tensor values, int root = 0) const;

  /// Every rank's bytes, in their order; on the host, whatever the device.
  std::vector<std::string> gather_bytes(const std::string& mine) const;
  /// Returns when all have called it.
  void barrier() const { gather_bytes({}); }

 private:
  struct Backends;
  Launch launch_;
  RunStore store_;
  std::shared_ptr<Backends> backends_;  // null: one process
};

/// Group::gather_bytes by way of the store: slow, for few short texts, but for a thread beside the
/// one that uses the group. `name`: the same on all ranks, of no other channel.
class SideChannel {
 public:
  SideChannel(const Group& group, std::string name);
  /// Waits as long as it takes; an Error once abandon() was called. One thread at a time.
  std::vector<std::string> gather(const std::string& mine);
  /// A rank is gone: nobody need wait for it. Thread-safe.
  void abandon() { abandoned_ = true; }

 private:
  std::string key(int64_t round, int rank) const;
  std::string wait(const std::string& key);
  int rank_, size_;
  std::string name_;
  RunStore store_;
  int64_t round_ = 0;
  std::atomic<bool> abandoned_ = false;
};

/// Every rank's numbers, in the ranks' order; each rank gives equally many.
std::vector<std::vector<double>> gather_numbers(const Group& group,
                                                const std::vector<double>& mine);

/// InputError naming rank and both values unless `value` is the same on all ranks: "config", ….
void require_equal(const Group& group, const std::string& what, const std::string& value);

}  // namespace caprl
