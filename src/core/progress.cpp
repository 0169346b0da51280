#include "caprl/core/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "caprl/core/terminal.h"

namespace caprl {
namespace {

constexpr int kBarWidth = 20;

int terminal_columns() {
  const auto size = terminal_size();
  return size ? size->columns : 0;
}

}  // namespace

std::string item_text(const ProgressItem& item) {
  return fmt::format("{} {:.{}f}{}{}", item.name, item.value, item.digits,
                     item.unit.empty() ? "" : " ", item.unit);
}

std::string progress_bar(double share, int width) {
  const int filled = static_cast<int>(std::clamp(share, 0.0, 1.0) * width);
  return fmt::format("[{:<{}}]", std::string(static_cast<size_t>(filled), '#'), width);
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

double seconds_to_come(int64_t done, int64_t left, double seconds) {
  return seconds / static_cast<double>(done) * static_cast<double>(left);
}

Progress::Progress(int64_t total, int64_t first)
    : Progress(total, first, stderr, terminal_columns(), Clock::now()) {}

Progress::Progress(int64_t total, int64_t first, std::FILE* stream, int columns,
                   Clock::time_point start)
    : total_(total), first_(first), stream_(stream), columns_(columns), start_(start) {}

Progress::~Progress() {
  if (drawn_) std::fputc('\n', stream_);
}

void Progress::update(int64_t done, const std::vector<ProgressItem>& items, Clock::time_point now) {
  if (done == first_) start_ = now;  // an evaluation before the first step
  std::string line;
  if (columns_ > 0)
    line = progress_bar(
        static_cast<double>(done) / static_cast<double>(std::max<int64_t>(total_, 1)), kBarWidth);
  else
    line = "step";
  line +=
      fmt::format(" {:>{}}/{}", done, columns_ > 0 ? fmt::format("{}", total_).size() : 0, total_);
  for (const ProgressItem& item : items) line += "  " + item_text(item);
  if (done > first_) {
    const std::chrono::duration<double> elapsed = now - start_;
    line += fmt::format(
        "  left {}", duration_text(seconds_to_come(done - first_, total_ - done, elapsed.count())));
  }
  if (columns_ > 0) {
    // A line that wraps could not be drawn over.
    line.resize(std::min(line.size(), static_cast<size_t>(columns_ - 1)));
    line = "\r\x1b[K" + line;
    drawn_ = true;
  } else {
    line += '\n';
  }
  std::fputs(line.c_str(), stream_);
  std::fflush(stream_);
}

}  // namespace caprl
