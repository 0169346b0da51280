// SIGTERM and SIGINT: schedulers send the first before they take a machine away.
#pragma once

namespace caprl {

/// From now on the two signals are only noted; a second SIGINT ends the process at once. Call once,
/// from main's thread.
void catch_termination();

/// The signal that came, 0: none. Thread-safe.
int termination_signal();

}  // namespace caprl
