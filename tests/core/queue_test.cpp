#include "caprl/core/queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

namespace caprl {
namespace {

using namespace std::chrono_literals;

template <class F>
bool soon(F condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(1ms);
  return condition();
}

TEST(PrefetchQueue, ResultsInOrderThenNothing) {
  PrefetchQueue<std::string> queue([](int64_t i) { return std::to_string(i * i); }, 3, 203, 4);
  for (int64_t i = 3; i < 203; ++i) ASSERT_EQ(queue.next(), std::to_string(i * i));
  EXPECT_EQ(queue.next(), std::nullopt);
  EXPECT_EQ(queue.next(), std::nullopt);
}

TEST(PrefetchQueue, IsReadyWhenNextDoesNotWait) {
  std::atomic<bool> may = false;
  PrefetchQueue<int> queue(
      [&](int64_t i) {
        may.wait(false);
        return static_cast<int>(i);
      },
      0, 1, 2);
  EXPECT_FALSE(queue.ready());
  may = true;
  may.notify_all();
  EXPECT_TRUE(soon([&] { return queue.ready(); }));
  EXPECT_EQ(queue.next(), 0);
  EXPECT_TRUE(queue.ready());
}

TEST(PrefetchQueue, NothingToMake) {
  PrefetchQueue<int> queue([](int64_t) -> int { throw std::logic_error("called"); }, 5, 5, 2);
  EXPECT_EQ(queue.next(), std::nullopt);
}

TEST(PrefetchQueue, WorksAheadUpToItsCapacity) {
  std::atomic<int> made = 0;
  PrefetchQueue<int> queue([&](int64_t) { return ++made; }, 0, 100, 3);
  EXPECT_TRUE(soon([&] { return made == 3; }));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(made, 3);
  EXPECT_TRUE(queue.ready());
  EXPECT_EQ(queue.next(), 1);
  EXPECT_TRUE(soon([&] { return made == 4; }));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(made, 4);
}

TEST(PrefetchQueue, ExceptionComesInItsPlaceAndEndsIt) {
  std::atomic<int> made = 0;
  PrefetchQueue<int> queue(
      [&](int64_t i) {
        ++made;
        if (i == 2) throw std::runtime_error("row 2 is bad");
        return static_cast<int>(i);
      },
      0, 10, 8);
  EXPECT_EQ(queue.next(), 0);
  EXPECT_EQ(queue.next(), 1);
  try {
    queue.next();
    FAIL() << "no exception";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "row 2 is bad");
  }
  EXPECT_EQ(queue.next(), std::nullopt);
  EXPECT_EQ(made, 3);
}

TEST(PrefetchQueue, EndsWhileItsThreadWaitsOrWorks) {
  std::atomic<bool> started = false;
  auto alive = std::make_shared<int>(1);
  {
    PrefetchQueue<std::shared_ptr<int>> full([&](int64_t) { return alive; }, 0, 100, 2);
    EXPECT_TRUE(soon([&] { return alive.use_count() == 3; }));
  }
  EXPECT_EQ(alive.use_count(), 1);
  {
    PrefetchQueue<int> busy(
        [&](int64_t) {
          started = true;
          std::this_thread::sleep_for(20ms);
          return 1;
        },
        0, 100, 2);
    EXPECT_TRUE(soon([&] { return started.load(); }));
  }
}

TEST(PrefetchQueue, MovesResults) {
  PrefetchQueue<std::unique_ptr<int64_t>> queue(
      [](int64_t i) { return std::make_unique<int64_t>(i); }, 0, 2, 1);
  EXPECT_EQ(**queue.next(), 0);
  EXPECT_EQ(**queue.next(), 1);
}

}  // namespace
}  // namespace caprl
