// A run as a person follows it on a terminal.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "caprl/core/progress.h"
#include "caprl/core/terminal.h"

namespace caprl {

/// What a dashboard shows.
struct RunPicture {
  int64_t total = 0, done = 0;         // steps
  std::string phase;                   // what is being done
  double phase_seconds = 0;            // for how long
  std::optional<double> seconds_left;  // of the run
  std::string notice;                  // something unusual
  std::vector<ProgressItem> items;     // of the newest step, the first with its curve
  std::vector<double> curve;           // of the first item's values
  std::vector<ProgressItem> memory;    // the machine's
  std::string caption;                 // the newest
};

/// Lines for a terminal of this size, each one column shorter than that, and as few as its rows.
std::vector<std::string> draw(const RunPicture& picture, const TerminalSize& size,
                              const TerminalText& text);

/// On a terminal a few lines that are drawn in place after every step and twice a second, at
/// whatever size that has now:
///   [#########           ] 45/100  gen 0:00:12  left 0:01:12
///   reward 0.531  ▁▂▂▄▅▅▆▇█
///   length 18.8  tokens/s 3051  memory 1.2 GB
///   caption: three objects . top-left red circle …
/// Elsewhere a line after every step, as of Progress. The cursor waits at the picture's beginning:
/// whatever the terminal does to its lines when it is resized, clearing what is below the cursor
/// clears them, and a message of the log takes their place until they are drawn again. At the end
/// the last picture stays. Nothing of the terminal's state is changed, so nothing need be restored.
/// Thread-safe. One at a time.
class Dashboard {
 public:
  /// `first`: steps that are done already.
  Dashboard(int64_t total, int64_t first);
  ~Dashboard();
  Dashboard(const Dashboard&) = delete;
  Dashboard& operator=(const Dashboard&) = delete;

  /// What is being done from now on.
  void phase(std::string name);
  /// A step is done.
  void update(int64_t done, const std::vector<ProgressItem>& items,
              const std::vector<ProgressItem>& memory, std::string caption);

 private:
  using Clock = std::chrono::steady_clock;
  void keep_drawing();
  /// `lock` is of mutex_ and left while the terminal is written to; `last`: the picture stays.
  void draw_now(std::unique_lock<std::mutex>& lock, bool last);

  std::optional<Progress> plain_;  // in place of all that follows
  TerminalText text_;
  std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  bool ending_ = false, changed_ = false, drawn_ = false;
  int64_t first_;
  Clock::time_point start_, phase_start_, last_step_;
  RunPicture picture_;
  std::thread thread_;
};

}  // namespace caprl
