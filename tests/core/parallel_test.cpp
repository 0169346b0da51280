#include "caprl/core/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

namespace caprl {
namespace {

using Ranges = std::vector<std::pair<int64_t, int64_t>>;

/// The ranges that a loop was given, in order of their places.
template <class Loop>
Ranges ranges_of(Loop loop) {
  Ranges ranges;
  std::mutex mutex;
  loop([&](int64_t first, int64_t last) {
    const std::lock_guard lock(mutex);
    ranges.emplace_back(first, last);
  });
  std::sort(ranges.begin(), ranges.end());
  return ranges;
}

void expect_cover(const Ranges& ranges, int64_t begin, int64_t end) {
  for (const auto& [first, last] : ranges) {
    EXPECT_EQ(first, begin);
    EXPECT_LT(first, last);
    begin = last;
  }
  EXPECT_EQ(begin, end);
}

TEST(Parallel, RangesCoverTheLoopOnce) {
  for (const int64_t size : {0, 1, 2, 7, 64, 1001})
    for (const int64_t grain : {1, 3, 100}) {
      const Ranges ranges = ranges_of([&](auto body) { parallel_for(5, 5 + size, grain, body); });
      expect_cover(ranges, 5, 5 + size);
      EXPECT_LE(static_cast<int64_t>(ranges.size()), num_loop_threads());
    }
}

TEST(Parallel, PiecesCoverTheLoopOnce) {
  for (const int64_t size : {0, 1, 2, 7, 64, 1001})
    for (const int64_t piece : {1, 3, 100}) {
      const Ranges ranges =
          ranges_of([&](auto body) { parallel_for_pieces(5, 5 + size, piece, body); });
      expect_cover(ranges, 5, 5 + size);
      EXPECT_EQ(static_cast<int64_t>(ranges.size()), (size + piece - 1) / piece);
    }
}

TEST(Parallel, RunsOfPiecesCoverTheLoopOnceAndComeAsAnnounced) {
  for (const int64_t size : {0, 1, 2, 7, 64, 1001})
    for (const int64_t piece : {1, 3, 100}) {
      const int64_t end = 5 + size;
      std::mutex mutex;
      std::map<std::thread::id, int64_t> announced;
      const auto start = [&](int64_t first) {
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(announced.emplace(std::this_thread::get_id(), first).second);
      };
      const Ranges ranges = ranges_of([&](auto body) {
        const auto checked = [&](int64_t first, int64_t last, int64_t then) {
          {
            const std::lock_guard lock(mutex);
            EXPECT_EQ(first, announced.at(std::this_thread::get_id()));
            announced.at(std::this_thread::get_id()) = then;
          }
          body(first, last);
        };
        parallel_for_runs(5, end, piece, checked, start);
      });
      for (const auto& [thread, then] : announced) EXPECT_EQ(then, end);
      EXPECT_LE(announced.size(), ranges.size());
      expect_cover(ranges, 5, end);
      const int64_t pieces = (size + piece - 1) / piece;
      EXPECT_LE(static_cast<int64_t>(ranges.size()), pieces);
      if (pieces >= 4 * num_loop_threads())
        EXPECT_LT(static_cast<int64_t>(ranges.size()), pieces) << "none is longer than a piece";
      for (const auto& [first, last] : ranges)
        EXPECT_TRUE((last - first) % piece == 0 || last == end) << first << " to " << last;
    }
}

TEST(Parallel, ExceptionsComeOut) {
  const auto fail = [](int64_t, int64_t) { throw std::runtime_error("piece"); };
  EXPECT_THROW(parallel_for(0, 100, 1, fail), std::runtime_error);
  EXPECT_THROW(parallel_for_pieces(0, 100, 7, fail), std::runtime_error);
  const auto fail_in_run = [&](int64_t first, int64_t last, int64_t) { fail(first, last); };
  EXPECT_THROW(parallel_for_runs(0, 100, 7, fail_in_run, [](int64_t) {}), std::runtime_error);
}

}  // namespace
}  // namespace caprl
