// What a program does that tests start as a rank of a run (ranks.h).
#pragma once
#include <chrono>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/dist/world.h"

namespace caprl {

/// work(world) as a rank on this machine's CPU; the program's exit code.
template <class Work>
int run_as_rank(std::chrono::milliseconds timeout, std::chrono::milliseconds collective_timeout,
                Work work) {
  init_logging();
  try {
    World world(read_launch(), at::kCPU, timeout, collective_timeout);
    world.run([&] { work(world); });
    return 0;
  } catch (const Error& error) {
    log_error("{}", error.what());
    return error.exit_code();
  }
}

}  // namespace caprl
