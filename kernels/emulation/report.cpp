// Threads and what they wait for, in words.
#include <sstream>

#include "kernels/emulation/block.h"

namespace caprl::emulation {
namespace {

std::string place(const Location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

std::string describe(const Thread& thread) {
  switch (thread.state) {
    case State::kExited:
      return "left the kernel";
    case State::kRunnable:
      return "can run";
    case State::kAtBarrier:
      return "__syncthreads at " + place(thread.call.where);
    case State::kInWarpCall:
    case State::kFailed:
      return describe(thread.call);
  }
  return {};
}

/// "0-31 64 66-95"
std::string ranges(const std::vector<unsigned>& threads) {
  std::ostringstream out;
  for (size_t i = 0; i < threads.size(); ++i) {
    size_t last = i;
    while (last + 1 < threads.size() && threads[last + 1] == threads[last] + 1) ++last;
    out << (i == 0 ? "" : " ") << threads[i];
    if (last > i) out << '-' << threads[last];
    i = last;
  }
  return out.str();
}

}  // namespace

std::string describe(const WarpCall& call) {
  static constexpr const char* kNames[] = {"__syncwarp",      "__ballot_sync",  "__shfl_sync",
                                           "__shfl_xor_sync", "__shfl_up_sync", "__shfl_down_sync"};
  std::ostringstream out;
  out << kNames[static_cast<int>(call.operation)] << " of lanes 0x" << std::hex << call.mask
      << " at " << place(call.where);
  return out.str();
}

std::string explain_failure(const Thread* lanes, unsigned lane) {
  const WarpCall& call = lanes[lane].call;
  std::ostringstream out;
  out << describe(call);
  if ((call.mask >> lane & 1u) == 0)
    out << " is called by lane " << lane;
  else
    for (unsigned i = 0; i < kLanes; ++i)
      if ((call.mask >> i & 1u) != 0 && (call.mask >> source_lane(lanes[i].call, i) & 1u) == 0)
        out << ": lane " << i << " reads lane " << source_lane(lanes[i].call, i);
  return out.str();
}

std::string describe(const std::vector<Thread>& threads, unsigned num_threads) {
  std::vector<std::pair<std::string, std::vector<unsigned>>> groups;
  for (unsigned i = 0; i < num_threads; ++i) {
    const std::string what = describe(threads[i]);
    auto group = groups.begin();
    while (group != groups.end() && group->first != what) ++group;
    if (group == groups.end()) group = groups.insert(group, {what, {}});
    group->second.push_back(i);
  }
  std::string text;
  for (const auto& [what, members] : groups) text += "\n  threads " + ranges(members) + ": " + what;
  return text;
}

}  // namespace caprl::emulation
