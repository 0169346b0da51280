// Bugs that AddressSanitizer and UndefinedBehaviorSanitizer find.
#include "kernels/device_buffer.h"
#include "kernels/planted_bugs.h"

namespace caprl::kernels {
namespace {

TEST(EmulationAsanDeathTest, OutsideABuffer) {
  DeviceBuffer<float> values(5);
  EXPECT_DEATH(write_behind(values.get(), 5), "use-after-poison.*planted_bugs.cu");
  EXPECT_DEATH(write_behind(values.get(), -1), "use-after-poison.*planted_bugs.cu");
}

TEST(EmulationAsanDeathTest, BehindSharedMemory) {
  DeviceBuffer<float> out(64);
  EXPECT_DEATH(write_behind_static_shared(out.get()), "global-buffer-overflow.*planted_bugs.cu");
  EXPECT_DEATH(write_behind_dynamic_shared(out.get()), "heap-buffer-overflow.*planted_bugs.cu");
}

}  // namespace
}  // namespace caprl::kernels
