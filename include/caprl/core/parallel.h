// Loops over ranges on all cores, by the threads that LibTorch's own loops use.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

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

/// body(first, last) for pieces of [begin, end), which threads take one after another: no thread
/// waits long for one that runs slower. Each begins with a share of its own, the same in every such
/// loop, and finds in its cache what it made of that before; then it helps the others.
template <class Body>
void parallel_for_pieces(int64_t begin, int64_t end, int64_t piece, const Body& body) {
  const int64_t pieces = (end - begin + piece - 1) / piece;
  const int64_t threads = std::min(num_loop_threads(), pieces);
  struct alignas(64) Counter {  // alone in a line of the cache
    std::atomic<int64_t> taken = 0;
  };
  std::vector<Counter> counters(std::max<int64_t>(0, threads));  // of each one's pieces
  const auto share = [&](int64_t thread) { return pieces * thread / threads; };
  const auto work_on = [&](int64_t thread) {
    const int64_t first = share(thread), count = share(thread + 1) - first;
    for (int64_t i; (i = counters[thread].taken.fetch_add(1, std::memory_order_relaxed)) < count;) {
      const int64_t at = begin + (first + i) * piece;
      body(at, std::min(end, at + piece));
    }
  };
  parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t mine = first; mine < last; ++mine)
      for (int64_t i = 0; i < threads; ++i) work_on((mine + i) % threads);
  });
}

/// In runs of pieces, long ones first and single pieces at the end: most of what lies side by side
/// is one thread's, whichever comes first. body(first, last, then) knows where the thread goes on,
/// at `end` if it does not; start(first) comes before its first run.
template <class Body, class Start>
void parallel_for_runs(int64_t begin, int64_t end, int64_t piece, const Body& body,
                       const Start& start) {
  struct Run {
    int64_t first, last;
  };
  std::atomic<int64_t> next{begin};
  const int64_t shares = num_loop_threads() + 1;
  const auto take = [&]() -> Run {
    int64_t first = next.load(std::memory_order_relaxed);
    while (first < end) {
      const int64_t size = std::max(piece, (end - first) / shares / piece * piece);
      const int64_t last = std::min(first + size, end);
      if (next.compare_exchange_weak(first, last, std::memory_order_relaxed)) return {first, last};
    }
    return {end, end};
  };
  parallel_for(0, (end - begin + piece - 1) / piece, 1, [&](int64_t, int64_t) {
    Run run = take();
    if (run.first < end) start(run.first);
    while (run.first < end) {
      // What comes next is taken as late as can be: the threads end close together.
      const int64_t last_piece = run.first + (run.last - run.first - 1) / piece * piece;
      if (run.first < last_piece) body(run.first, last_piece, last_piece);
      const Run then = take();
      body(last_piece, run.last, then.first);
      run = then;
    }
  });
}

}  // namespace caprl
