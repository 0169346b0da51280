#include "kernels/emulation/block.h"

#include <algorithm>
#include <numeric>

#include "kernels/emulation/sanitizers.h"

namespace caprl::emulation {
namespace {

Block* running_block = nullptr;

}  // namespace

void Block::run(unsigned num_threads, const std::function<void()>& body, Order order,
                std::mt19937& generator) {
  running_block = this;
  body_ = &body;
  begin(num_threads);
  while (true) {
    choose_order(order, generator);
    for (unsigned warp : warp_order_) run_warp(warp);
    if (everyone_exited()) break;
    release_barrier();
  }
  acquire_order(&end_token_);
}

void Block::begin(unsigned num_threads) {
  num_threads_ = num_threads;
  const size_t num_warps = (num_threads + kLanes - 1) / kLanes;
  if (warps_.size() < num_warps) {
    warps_.resize(num_warps);
    threads_.resize(num_warps * kLanes);
  }
  warp_order_.resize(num_warps);
  for (unsigned i = 0; i < num_threads; ++i) {
    if (!threads_[i].fiber) threads_[i].fiber = std::make_unique<Fiber>(live);
    make_runnable(i);
  }
  release_order(&begin_token_);
}

/// Each fiber is one thread of every block.
void Block::live() {
  while (true) {
    acquire_order(&running_block->begin_token_);
    (*running_block->body_)();
    release_order(&running_block->end_token_);
    running_block->suspend(State::kExited);
  }
}

void Block::choose_order(Order order, std::mt19937& generator) {
  std::iota(warp_order_.begin(), warp_order_.end(), 0);
  std::iota(lane_order_.begin(), lane_order_.end(), 0);
  if (order == Order::kReverse) {
    std::reverse(warp_order_.begin(), warp_order_.end());
    std::reverse(lane_order_.begin(), lane_order_.end());
  } else if (order == Order::kRandom) {
    std::shuffle(warp_order_.begin(), warp_order_.end(), generator);
    std::shuffle(lane_order_.begin(), lane_order_.end(), generator);
  }
}

/// As far as the warp gets: one that runs far ahead of the others shows that a barrier is missing.
void Block::run_warp(unsigned warp) {
  while (warps_[warp].runnable != 0) {
    for (unsigned lane : lane_order_) {
      if ((warps_[warp].runnable >> lane & 1u) == 0) continue;
      running_ = warp * kLanes + lane;
      threadIdx = {running_, 0, 0};
      threads_[running_].fiber->resume();
      if (threads_[running_].state == State::kFailed)
        throw Error("thread " + std::to_string(running_) + ": " +
                    explain_failure(&threads_[warp * kLanes], lane));
    }
  }
}

bool Block::everyone_exited() const {
  return std::all_of(threads_.begin(), threads_.begin() + num_threads_,
                     [](const Thread& thread) { return thread.state == State::kExited; });
}

/// When nobody can run: all must wait at the same barrier.
void Block::release_barrier() {
  for (unsigned i = 0; i < num_threads_; ++i) {
    if (threads_[i].state != State::kAtBarrier || !same_call(threads_[i].call, threads_[0].call))
      throw Error("threads wait for each other in different places" +
                  describe(threads_, num_threads_));
  }
  for (unsigned i = 0; i < num_threads_; ++i) make_runnable(i);
  ++num_barriers_;
}

void Block::sync_block(const Location& where) {
  threads_[running_].call = {WarpOperation::kSync, 0, 0, 0, 0, where};
  // Two in turns: who leaves this barrier late must not count as having waited at the next one.
  char* const token = &barrier_tokens_[num_barriers_ % 2];
  release_order(token);
  suspend(State::kAtBarrier);
  acquire_order(token);
}

void Block::make_runnable(unsigned thread) {
  threads_[thread].state = State::kRunnable;
  warps_[thread / kLanes].runnable |= 1u << thread % kLanes;
}

void Block::suspend(State state) {
  threads_[running_].state = state;
  warps_[running_ / kLanes].runnable &= ~(1u << running_ % kLanes);
  Fiber::suspend();
}

void block_barrier(const Location& where) { running_block->sync_block(where); }
void warp_barrier(unsigned mask, const Location& where) { running_block->sync_warp(mask, where); }
uint64_t warp_call(const WarpCall& call) { return running_block->call_warp(call); }

}  // namespace caprl::emulation
