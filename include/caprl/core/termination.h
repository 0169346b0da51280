// SIGTERM and SIGINT: schedulers send the first before they take a machine away.
#pragma once

namespace caprl {

/// From now on the two signals are only noted; a second SIGINT ends the process at once. Call once,
/// from main's thread.
void catch_termination();

/// What is written to stderr before a second SIGINT ends the process: it takes away what is drawn
/// on a terminal. A text that stays; null: nothing. Thread-safe.
void set_parting(const char* text);

/// The signal that came, 0: none. Thread-safe.
int termination_signal();

}  // namespace caprl
