// Whether this process gets on with its work: what tells a slow process from one that hangs.
#pragma once
#include <cstdint>

namespace caprl {

/// A piece of work is done. Called wherever work comes in pieces of seconds at most: a layer, an
/// image, a part of a file. Any thread's work counts. Thread-safe.
void pulse() noexcept;
int64_t num_pulses() noexcept;

/// While one lives, the process waits for something that has a time limit of its own, or is itself
/// watched: another rank, a server. Thread-safe.
class Waiting {
 public:
  Waiting() noexcept;
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
};
bool is_waiting() noexcept;

}  // namespace caprl
