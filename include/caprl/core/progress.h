// What a person sees of a long run.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace caprl {

/// One figure of the line: "reward 0.531".
struct ProgressItem {
  std::string name;
  double value = 0;
  int digits = 0;  // after the decimal point
  std::string unit = {};
};

/// "memory 1.2 GB"
std::string item_text(const ProgressItem& item);
/// "[##        ]"
std::string progress_bar(double share, int width);
/// "0:03:52"
std::string duration_text(double seconds);
/// The mean time of the steps so far times the steps to come.
double seconds_to_come(int64_t done, int64_t left, double seconds);

/// On a terminal one line that is drawn anew, with a bar; elsewhere one line per update:
///   [#########           ]  45/100  reward 0.531  length 120  tokens/s 850  left 0:01:12
///   step 45/100  reward 0.531  length 120  tokens/s 850  left 0:01:12
/// Not thread safe.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// `first`: steps that are done already. Drawn to stderr, as a terminal if it is one
  /// (terminal_size).
  Progress(int64_t total, int64_t first);
  /// `columns`: width of the terminal, 0: no terminal. The stream must outlive this.
  Progress(int64_t total, int64_t first, std::FILE* stream, int columns, Clock::time_point start);
  /// Ends the bar's line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(int64_t done, const std::vector<ProgressItem>& items,
              Clock::time_point now = Clock::now());

 private:
  int64_t total_, first_;
  std::FILE* stream_;
  int columns_;
  Clock::time_point start_;
  bool drawn_ = false;
};

}  // namespace caprl
