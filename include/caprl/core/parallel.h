// Loops over ranges on all cores, by the threads that LibTorch's own loops use.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>

namespace caprl {

/// Threads of a loop begun here: at::get_num_threads() of this thread, or 1 inside a loop.
int64_t num_loop_threads();

namespace internal {
/// Calls run(context, 0) … run(context, count − 1) on that many threads, this one among them. The
/// first exception comes out.
void run_on_threads(int64_t count, void (*run)(const void*, int64_t), const void* context);
}  // namespace internal

/// body(first, last) for ranges that cover [begin, end), one a thread, each of at least `grain`
/// numbers. (at::parallel_for does nothing in parallel unless its caller is compiled with OpenMP.)
template <class Body>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Body& body) {
  if (begin >= end) return;
  struct Loop {
    int64_t begin, end, count;
    const Body& body;
  };
  const int64_t most = (end - begin + grain - 1) / std::max<int64_t>(1, grain);
  const Loop loop{begin, end, std::min(num_loop_threads(), most), body};
  if (loop.count <= 1) return body(begin, end);
  const auto run = [](const void* context, int64_t i) {
    const auto& mine = *static_cast<const Loop*>(context);
    const int64_t size = mine.end - mine.begin;
    const int64_t first = mine.begin + size * i / mine.count;
    mine.body(first, mine.begin + size * (i + 1) / mine.count);
  };
  internal::run_on_threads(loop.count, run, &loop);
}

namespace internal {
/// A range that threads take parts of, one after another.
class SharedRange {
 public:
  struct Part {
    int64_t first, last;
  };

  SharedRange(int64_t begin, int64_t end) : next_(begin), end_(end) {}

  /// Of size_of(how many are left) numbers; an empty one at the end.
  template <class Size>
  Part take(const Size& size_of) {
    int64_t first = next_.load(std::memory_order_relaxed);
    while (first < end_) {
      const int64_t last = std::min(first + size_of(end_ - first), end_);
      if (next_.compare_exchange_weak(first, last, std::memory_order_relaxed)) return {first, last};
    }
    return {end_, end_};
  }

 private:
  std::atomic<int64_t> next_;
  int64_t end_;
};
}  // namespace internal

/// body(first, last) for pieces of [begin, end), which threads take one after another: no thread
/// waits long for one that runs slower.
template <class Body>
void parallel_for_pieces(int64_t begin, int64_t end, int64_t piece, const Body& body) {
  internal::SharedRange range(begin, end);
  const auto take = [&] { return range.take([&](int64_t) { return piece; }); };
  parallel_for(0, (end - begin + piece - 1) / piece, 1, [&](int64_t, int64_t) {
    for (auto part = take(); part.first < end; part = take()) body(part.first, part.last);
  });
}

/// The same in runs of pieces, long ones first and single pieces at the end: most of what lies side
/// by side is one thread's. body(first, last, then) knows where the thread goes on, at `end` if it
/// does not; start(first) comes before its first run.
template <class Body, class Start>
void parallel_for_runs(int64_t begin, int64_t end, int64_t piece, const Body& body,
                       const Start& start) {
  internal::SharedRange range(begin, end);
  const int64_t shares = num_loop_threads() + 1;
  const auto take = [&] {
    return range.take([&](int64_t left) { return std::max(piece, left / shares / piece * piece); });
  };
  parallel_for(0, (end - begin + piece - 1) / piece, 1, [&](int64_t, int64_t) {
    auto run = take();
    if (run.first < end) start(run.first);
    while (run.first < end) {
      const auto then = take();
      body(run.first, run.last, then.first);
      run = then;
    }
  });
}

}  // namespace caprl
