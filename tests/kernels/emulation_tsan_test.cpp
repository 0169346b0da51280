// Races that ThreadSanitizer finds, in every order.
#include "kernels/device_buffer.h"
#include "kernels/emulation/settings.h"
#include "kernels/planted_bugs.h"

extern "C" const char* __tsan_default_options() { return "halt_on_error=1"; }

namespace caprl::kernels {
namespace {

using emulation::Order;

class EmulationTsanDeathTest : public ::testing::TestWithParam<Order> {
 protected:
  // A forked child with fibers would no longer look for races.
  EmulationTsanDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  template <class Run>
  static void run_ordered(Run run) {
    emulation::set_order(GetParam());
    run();
  }
};
INSTANTIATE_TEST_SUITE_P(, EmulationTsanDeathTest,
                         ::testing::Values(Order::kForward, Order::kReverse, Order::kRandom));

constexpr const char* kRace = "data race.*planted_bugs.cu";

TEST_P(EmulationTsanDeathTest, MissingBarrier) {
  DeviceBuffer<int> in(64), out(64);
  EXPECT_DEATH(run_ordered([&] { swap_without_barrier(in.get(), out.get()); }), kRace);
}

TEST_P(EmulationTsanDeathTest, MissingSecondBarrier) {
  DeviceBuffer<int> in(64), out(64);
  EXPECT_DEATH(run_ordered([&] { swap_twice_without_second_barrier(in.get(), out.get()); }), kRace);
}

TEST_P(EmulationTsanDeathTest, MissingSecondSyncwarp) {
  DeviceBuffer<int> in(64), out(64);
  EXPECT_DEATH(run_ordered([&] { swap_in_warp_without_second_syncwarp(in.get(), out.get()); }),
               kRace);
}

TEST_P(EmulationTsanDeathTest, RaceInsideAWarp) {
  DeviceBuffer<int> out(1);
  EXPECT_DEATH(run_ordered([&] { count_in_warp(out.get()); }), kRace);
}

}  // namespace
}  // namespace caprl::kernels
