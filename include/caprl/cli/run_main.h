// The program: `caprl` and, as a name for its most used command, `caprl-train`.
#pragma once
#include <string>
#include <vector>

namespace caprl {

/// Runs the command line (without the program's name) and returns the exit code: 0 done, 1 the run
/// failed, 2 the user's input was wrong. Failures are told on stderr. Never throws.
int run_main(std::vector<std::string> arguments);

}  // namespace caprl
