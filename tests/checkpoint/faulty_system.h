// The file system calls of this test program: counted, noted, made to fail, or cut short by
// SIGKILL.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "support/file_calls.h"

namespace caprl::test {

enum class Fault {
  kNone,
  kKillBefore,    // SIGKILL in place of the call
  kKillWithin,    // like kKillBefore, but half of the bytes of a write get through
  kLoseUnsynced,  // like kKillBefore, and what was written to files but not synced is gone: a power
                  // cut
  kFail,          // the call fails: the disk is full, or does not sync
};

/// Runs `action` while every call that changes the file system is noted; the call with number
/// `fault_at` (from 0) meets with `fault`. Exceptions of the action pass.
std::vector<Call> observe(const std::function<void()>& action, Fault fault = Fault::kNone,
                          int fault_at = -1);

/// Does this in a child process. True if the child was killed; false if it came to its end without
/// the fault.
bool dies_in(const std::function<void()>& action, Fault fault, int fault_at);

}  // namespace caprl::test
