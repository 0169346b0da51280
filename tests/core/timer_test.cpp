#include "caprl/core/timer.h"

#include <gtest/gtest.h>

#include <thread>

namespace caprl {
namespace {

using namespace std::chrono_literals;

TEST(PhaseTimers, AddsUpByPhaseAndStartsAgain) {
  PhaseTimers timers;
  for (int i = 0; i < 2; ++i) {
    const auto timed = timers.measure("gen");
    std::this_thread::sleep_for(10ms);
  }
  {
    const auto outer = timers.measure("step");
    const auto inner = timers.measure("update");
  }
  const Metrics metrics = timers.take();
  ASSERT_EQ(metrics.size(), 3u);
  EXPECT_GE(metrics.at("timing_s/gen"), 0.020);
  EXPECT_LT(metrics.at("timing_s/gen"), 10);
  EXPECT_GE(metrics.at("timing_s/step"), metrics.at("timing_s/update"));
  EXPECT_TRUE(timers.take().empty());
}

TEST(PhaseTimers, CountsAPhaseThatAnExceptionEnds) {
  PhaseTimers timers;
  try {
    const auto timed = timers.measure("gen");
    throw 1;
  } catch (int) {
  }
  EXPECT_EQ(timers.take().count("timing_s/gen"), 1u);
}

}  // namespace
}  // namespace caprl
