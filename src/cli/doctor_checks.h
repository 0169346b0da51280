// What `caprl doctor` tries on this machine.
#pragma once
#include "cli/checklist.h"

namespace caprl {

/// Each library is used once, each device computes something whose result is known.
void check_installation(Checklist& checks);

}  // namespace caprl
