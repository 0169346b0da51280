// The progress of a bulk task, whose items may be many a second.
#pragma once
#include <cstdint>
#include <vector>

#include "caprl/core/progress.h"
#include "caprl/core/terminal.h"

namespace caprl {

/// A Progress that is drawn ten times a second at most; elsewhere than on a terminal it is a line
/// every ten seconds, so that the log of millions of items can be read. The last item always is.
class ItemProgress {
 public:
  using Clock = Progress::Clock;

  explicit ItemProgress(int64_t total)
      : progress_(total, 0),
        total_(total),
        pause_(terminal_size() ? std::chrono::milliseconds(100) : std::chrono::seconds(10)) {}
  /// For a stream that is no terminal, which must outlive this.
  ItemProgress(int64_t total, std::FILE* stream, Clock::time_point start)
      : progress_(total, 0, stream, 0, start),
        total_(total),
        pause_(std::chrono::seconds(10)),
        shown_(start) {}

  void update(int64_t done, const std::vector<ProgressItem>& items,
              Clock::time_point now = Clock::now()) {
    if (done < total_ && now - shown_ < pause_) return;
    shown_ = now;
    progress_.update(done, items, now);
  }

 private:
  Progress progress_;
  int64_t total_;
  Clock::duration pause_;
  Clock::time_point shown_ = Clock::now();
};

}  // namespace caprl
