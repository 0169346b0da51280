// One target under libFuzzer; which one is CAPRL_FUZZ_TARGET. With --list-seeds it prints the
// target's seed files and ends.
#include <cstdlib>
#include <iostream>

#include "fuzz/targets.h"

namespace {

const caprl::FuzzTarget& target() {
  for (const caprl::FuzzTarget& one : caprl::fuzz_targets())
    if (one.name == CAPRL_FUZZ_TARGET) return one;
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc != 2 || std::string_view((*argv)[1]) != "--list-seeds") return 0;
  for (const auto& file : caprl::seed_files(target())) std::cout << file.string() << "\n";
  std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  caprl::fuzz_one(target(), {reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
