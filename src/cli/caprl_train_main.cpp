#include "caprl/cli/run_main.h"

/// The same as `caprl train`.
int main(int argc, char** argv) {
  std::vector<std::string> arguments = {"train"};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  return caprl::run_main(std::move(arguments));
}
