// Shuffles and votes: the last lane to arrive computes what all get.
#include <bit>
#include <cstring>

#include "kernels/emulation/block.h"
#include "kernels/emulation/sanitizers.h"

namespace caprl::emulation {
namespace {

bool all_wait_in(const Thread* lanes, unsigned in_call, const WarpCall& call) {
  if ((in_call & call.mask) != call.mask) return false;
  for (unsigned rest = call.mask; rest != 0; rest &= rest - 1)
    if (!same_call(lanes[std::countr_zero(rest)].call, call)) return false;
  return true;
}

/// Of all lanes of `mask`; false: one reads a lane outside it.
bool compute_results(Thread* lanes, unsigned mask) {
  unsigned votes = 0;
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    votes |= static_cast<unsigned>(lanes[lane].call.value & 1u) << lane;
  }
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
    const WarpCall& call = lanes[lane].call;
    const unsigned source = source_lane(call, lane);
    if ((mask >> source & 1u) == 0) return false;
    const bool vote = call.operation <= WarpOperation::kBallot;
    lanes[lane].result = vote ? votes : lanes[source].call.value;
  }
  return true;
}

}  // namespace

/// Of its group of `width` consecutive lanes; itself where there is no such lane.
unsigned source_lane(const WarpCall& call, unsigned lane) {
  const unsigned first = lane & ~(call.width - 1), end = first + call.width;
  switch (call.operation) {
    case WarpOperation::kShuffle:
      return first + (call.argument & (call.width - 1));
    case WarpOperation::kShuffleXor:
      return (lane ^ call.argument) < end ? lane ^ call.argument : lane;
    case WarpOperation::kShuffleUp:
      return lane >= first + call.argument ? lane - call.argument : lane;
    case WarpOperation::kShuffleDown:
      return lane + call.argument < end ? lane + call.argument : lane;
    case WarpOperation::kSync:
    case WarpOperation::kBallot:
      break;
  }
  return lane;
}

bool same_call(const WarpCall& a, const WarpCall& b) {
  const char *file_a = a.where.file_name(), *file_b = b.where.file_name();
  return a.operation == b.operation && a.mask == b.mask && a.where.line() == b.where.line() &&
         a.where.column() == b.where.column() &&
         (file_a == file_b || std::strcmp(file_a, file_b) == 0);
}

uint64_t Block::call_warp(const WarpCall& call) {
  const unsigned first = running_ / kLanes * kLanes, lane = running_ % kLanes;
  Thread* const lanes = &threads_[first];
  Warp& warp = warps_[running_ / kLanes];
  lanes[lane].call = call;
  if ((call.mask >> lane & 1u) == 0) suspend(State::kFailed);
  warp.in_call |= 1u << lane;
  if (all_wait_in(lanes, warp.in_call, call)) {
    if (!compute_results(lanes, call.mask)) suspend(State::kFailed);
    warp.in_call &= ~call.mask;
    for (unsigned rest = call.mask; rest != 0; rest &= rest - 1)
      make_runnable(first + static_cast<unsigned>(std::countr_zero(rest)));
  } else {
    suspend(State::kInWarpCall);
  }
  return lanes[lane].result;
}

/// The only call of a warp that orders memory: as in CUDA, shuffles and votes do not.
void Block::sync_warp(unsigned mask, const Location& where) {
  Thread* const lanes = &threads_[running_ / kLanes * kLanes];
  Thread& self = threads_[running_];
  const unsigned turn = self.num_syncs++ % 2;
  release_order(&self.sync_tokens[turn]);
  const uint64_t turns = call_warp({WarpOperation::kSync, mask, turn, 0, 0, where});
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    acquire_order(&lanes[lane].sync_tokens[turns >> lane & 1u]);
  }
}

}  // namespace caprl::emulation
