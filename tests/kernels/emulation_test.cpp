// What the emulation reports and how it goes about: tests of the kernels' tests.
#include <gtest/gtest-spi.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "kernels/device_buffer.h"
#include "kernels/emulation/device_runtime.h"
#include "kernels/emulation/settings.h"
#include "kernels/planted_bugs.h"

namespace caprl::kernels {
namespace {

using emulation::Order;

class EmulationTest : public ::testing::TestWithParam<Order> {
 protected:
  EmulationTest() : before_(emulation::set_order(GetParam())) {}
  ~EmulationTest() override { emulation::set_order(before_); }

 private:
  Order before_;
};
INSTANTIATE_TEST_SUITE_P(, EmulationTest,
                         ::testing::Values(Order::kForward, Order::kReverse, Order::kRandom));

/// The message of the Error that `run` must end in. The emulation must be as before then.
template <class Run>
std::string error_of(Run run) {
  std::string message;
  try {
    run();
    ADD_FAILURE() << "the bug was not reported";
  } catch (const emulation::Error& error) {
    message = error.what();
  }
  barrier_of_some(64);
  return message;
}

void expect_lines(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << part << " is not in: " << message;
}

TEST_P(EmulationTest, ReportsABarrierThatSomeThreadsDoNotReach) {
  expect_lines(error_of([] { barrier_of_some(40); }),
               {"block (0, 0, 0)", "threads 0-39: __syncthreads at ",
                "planted_bugs.cu:", "threads 40-63: left the kernel"});
  expect_lines(error_of([] { barrier_of_some(63); }), {"threads 63: left the kernel"});
}

TEST_P(EmulationTest, ReportsABarrierAtTwoLines) {
  const std::string message = error_of(barrier_in_both_branches);
  expect_lines(message, {"threads 0-39: __syncthreads at ", "threads 40-63: __syncthreads at "});
}

TEST_P(EmulationTest, ReportsABarrierInAnUnevenLoop) {
  expect_lines(error_of(barrier_in_uneven_loop),
               {"threads 0-31: left the kernel", "threads 32-63: __syncthreads at "});
}

TEST_P(EmulationTest, ReportsABarrierThatMeetsSyncwarp) {
  expect_lines(error_of(barrier_against_syncwarp),
               {"threads 0 2 4 ", "__syncthreads at ", "__syncwarp of lanes 0xffffffff at "});
}

TEST_P(EmulationTest, ReportsAShuffleThatLacksLanes) {
  expect_lines(error_of(shuffle_with_lanes_missing),
               {"threads 0 3 6 9 ", "left the kernel", "threads 1-2 4-5 ",
                "__shfl_xor_sync of lanes 0xffffffff at "});
  expect_lines(error_of(shuffle_after_exit),
               {"threads 0-30", "__ballot_sync of lanes 0xffffffff", "31", "left the kernel"});
}

TEST_P(EmulationTest, ReportsAShuffleOutsideItsMask) {
  expect_lines(error_of(shuffle_outside_its_mask),
               {"thread 1: __shfl_sync of lanes 0x1 at ", "planted_bugs.cu:", "called by lane 1"});
  expect_lines(error_of(shuffle_from_outside_its_mask),
               {"thread 0: __shfl_down_sync of lanes 0x1 at ", "lane 0 reads lane 1"});
}

TEST_P(EmulationTest, SharedMemoryIsNaNAtFirst) {
  constexpr int kBlocks = 3;
  DeviceBuffer<float> fixed(std::vector<float>(kBlocks, 0)),
      dynamic(std::vector<float>(kBlocks, 0));
  read_fresh_shared(fixed.get(), dynamic.get(), kBlocks);
  for (float value : fixed.values()) EXPECT_TRUE(std::isnan(value));
  for (float value : dynamic.values()) EXPECT_TRUE(std::isnan(value));
}

TEST(Emulation, RunsInTheOrderAskedFor) {
  constexpr int kThreads = 256;
  const auto order_of = [](Order order, unsigned seed) {
    const Order before = emulation::set_order(order, seed);
    DeviceBuffer<unsigned> counter(std::vector<unsigned>{0}), out(kThreads);
    record_order(counter.get(), out.get(), kThreads);
    emulation::set_order(before);
    return out.values();
  };
  std::vector<unsigned> expected(kThreads);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order_of(Order::kForward, 1), expected);
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(order_of(Order::kReverse, 1), expected);
  EXPECT_EQ(order_of(Order::kRandom, 1), order_of(Order::kRandom, 1));
  std::set<std::vector<unsigned>> orders;
  for (unsigned seed = 0; seed < 5; ++seed) orders.insert(order_of(Order::kRandom, seed));
  EXPECT_GE(orders.size(), 4u);
}

TEST(Emulation, RefusesWhatNoDeviceTakes) {
  launch_with(1024, 227 * 1024);
  EXPECT_THROW(launch_with(1025, 0), emulation::Error);
  EXPECT_THROW(launch_with(0, 0), emulation::Error);
  EXPECT_THROW(launch_with(32, 227 * 1024 + 1), emulation::Error);
}

TEST(EmulationDeathTest, MisalignedWideLoad) {
  DeviceBuffer<float> values(8), shifted(8, 1), out(1);
  load_16_bytes(values.get(), out.get());
  EXPECT_DEATH(load_16_bytes(shifted.get(), out.get()), "misaligned address");
}

TEST(Emulation, NumberOfMultiprocessorsIsWhatTestsSay) {
  const int before = num_multiprocessors();
  emulation::set_num_multiprocessors(132);
  EXPECT_EQ(num_multiprocessors(), 132);
  emulation::set_num_multiprocessors(before);
}

}  // namespace
}  // namespace caprl::kernels
