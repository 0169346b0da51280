// One block of threads: which of them runs, what the others wait for.
#pragma once
#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/emulation/device_runtime.h"
#include "kernels/emulation/fiber.h"
#include "kernels/emulation/settings.h"

namespace caprl::emulation {

inline constexpr unsigned kLanes = 32;  // threads of a warp

enum class State { kExited, kRunnable, kAtBarrier, kInWarpCall, kFailed };

struct Thread {
  std::unique_ptr<Fiber> fiber;
  State state = State::kExited;
  WarpCall call{};      // that it waits in; of a barrier only the location
  uint64_t result = 0;  // of its last warp call
  unsigned num_syncs = 0;
  char sync_tokens[2] = {};  // memory order of its calls of __syncwarp, in turns
};

struct Warp {
  unsigned runnable = 0, in_call = 0;  // sets of lanes
};

/// Its threads are fibers that go from block to block.
class Block {
 public:
  /// Runs a block of `num_threads` that all call `body`. Throws Error where they do what CUDA
  /// leaves undefined; this object is of no further use then.
  void run(unsigned num_threads, const std::function<void()>& body, Order order,
           std::mt19937& generator);

  // What the running thread calls; block.cpp, warp.cpp.
  void sync_block(const Location& where);
  void sync_warp(unsigned mask, const Location& where);
  uint64_t call_warp(const WarpCall& call);

 private:
  static void live();  // a fiber's life
  void begin(unsigned num_threads);
  void choose_order(Order order, std::mt19937& generator);
  void run_warp(unsigned warp);
  bool everyone_exited() const;
  void release_barrier();
  void make_runnable(unsigned thread);
  void suspend(State state);

  unsigned num_threads_ = 0;     // of this block; fibers of larger blocks are kept
  std::vector<Thread> threads_;  // whole warps
  std::vector<Warp> warps_;
  std::vector<unsigned> warp_order_;
  std::array<unsigned, kLanes> lane_order_;
  const std::function<void()>* body_ = nullptr;
  unsigned running_ = 0;  // the thread
  unsigned num_barriers_ = 0;
  char begin_token_ = 0, end_token_ = 0, barrier_tokens_[2] = {};  // memory order
};

// warp.cpp
/// The lane whose value `lane` gets in a shuffle.
unsigned source_lane(const WarpCall& call, unsigned lane);
bool same_call(const WarpCall& a, const WarpCall& b);

// report.cpp: for people. Never called by fibers, for a fiber that is given up destroys nothing.
std::string describe(const WarpCall& call);
/// What is wrong with the call that `lane` failed in.
std::string explain_failure(const Thread* lanes, unsigned lane);
/// What the threads wait for, a line for each kind.
std::string describe(const std::vector<Thread>& threads, unsigned num_threads);

}  // namespace caprl::emulation
