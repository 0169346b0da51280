#include "caprl/core/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <set>
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

TEST(Parallel, RunsOfPiecesCoverTheLoopOnce) {
  for (const int64_t size : {0, 1, 2, 7, 64, 1001})
    for (const int64_t piece : {1, 3, 100}) {
      std::mutex mutex;
      std::multiset<std::thread::id> started;
      const auto start = [&] {
        const std::lock_guard lock(mutex);
        started.insert(std::this_thread::get_id());
      };
      const Ranges ranges = ranges_of([&](auto body) {
        const auto checked = [&](int64_t first, int64_t last) {
          {
            const std::lock_guard lock(mutex);
            EXPECT_EQ(1u, started.count(std::this_thread::get_id()));
          }
          body(first, last);
        };
        parallel_for_runs(5, 5 + size, piece, checked, start);
      });
      EXPECT_LE(started.size(), ranges.size());
      expect_cover(ranges, 5, 5 + size);
      const int64_t pieces = (size + piece - 1) / piece;
      EXPECT_LE(static_cast<int64_t>(ranges.size()), pieces);
      if (pieces >= 4 * num_loop_threads())
        EXPECT_LT(static_cast<int64_t>(ranges.size()), pieces) << "none is longer than a piece";
      for (const auto& [first, last] : ranges)
        EXPECT_TRUE((last - first) % piece == 0 || last == 5 + size) << first << " to " << last;
    }
}

TEST(Parallel, ExceptionsComeOut) {
  const auto fail = [](int64_t, int64_t) { throw std::runtime_error("piece"); };
  EXPECT_THROW(parallel_for(0, 100, 1, fail), std::runtime_error);
  EXPECT_THROW(parallel_for_pieces(0, 100, 7, fail), std::runtime_error);
  EXPECT_THROW(parallel_for_runs(0, 100, 7, fail, [] {}), std::runtime_error);
}

}  // namespace
}  // namespace caprl
