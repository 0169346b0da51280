// The tests' device is a GPU; without one they are skipped, and say so.
#include <gtest/gtest.h>

#include <iostream>

#include "on_kernels/switch.h"

namespace caprl {

void use_kernels(bool) {}
at::Device kernel_device() { return at::kCUDA; }

}  // namespace caprl

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!at::hasCUDA() && !GTEST_FLAG_GET(list_tests)) {
    std::cout << "SKIPPED: there is no GPU; none of these tests was run" << std::endl;
    return 0;
  }
  return RUN_ALL_TESTS();
}
