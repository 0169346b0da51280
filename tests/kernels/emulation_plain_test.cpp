// Bugs that show without a sanitizer too, by what they do to the results.
#include <gtest/gtest-spi.h>

#include <algorithm>
#include <numeric>

#include "kernels/device_buffer.h"
#include "kernels/emulation/settings.h"
#include "kernels/planted_bugs.h"

namespace caprl::kernels {
namespace {

using emulation::Order;

/// Whether a kernel that must give 0 … 63, turned round or not, does in this order.
template <class Kernel>
bool works(Kernel kernel, Order order, bool turned) {
  std::vector<int> in(64), expected;
  std::iota(in.begin(), in.end(), 0);
  expected = in;
  if (turned) std::reverse(expected.begin(), expected.end());
  const Order before = emulation::set_order(order);
  DeviceBuffer<int> values(in), out(in.size());
  kernel(values.get(), out.get());
  emulation::set_order(before);
  return out.values() == expected;
}

TEST(EmulationPlain, AMissingBarrierGivesWrongResults) {
  EXPECT_FALSE(works(swap_without_barrier, Order::kForward, true));
  EXPECT_FALSE(works(swap_without_barrier, Order::kReverse, true));
  EXPECT_FALSE(works(swap_without_barrier, Order::kRandom, true));
}

TEST(EmulationPlain, AMissingSecondBarrierGivesWrongResults) {
  EXPECT_FALSE(works(swap_twice_without_second_barrier, Order::kForward, false));
  EXPECT_FALSE(works(swap_twice_without_second_barrier, Order::kReverse, false));
}

TEST(EmulationPlain, AWriteBehindABufferFailsTheTest) {
  EXPECT_NONFATAL_FAILURE(
      {
        DeviceBuffer<float> values(5);
        write_behind(values.get(), 5);
      },
      "wrote outside its buffer of 5 values");
}

TEST(EmulationPlain, AWriteBeforeABufferFailsTheTest) {
  EXPECT_NONFATAL_FAILURE(
      {
        DeviceBuffer<float> values(5);
        write_behind(values.get(), -1);
      },
      "wrote outside its buffer of 5 values");
}

}  // namespace
}  // namespace caprl::kernels
