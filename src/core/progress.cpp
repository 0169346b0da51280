#include "caprl/core/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace caprl {
namespace {

int terminal_columns() {
  constexpr int kUsual = 80;
  if (!::isatty(STDERR_FILENO)) return 0;
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return size.ws_col;
}

std::string bar(double share) {
  constexpr int kWidth = 20;
  const int filled = static_cast<int>(std::clamp(share, 0.0, 1.0) * kWidth);
  return fmt::format("[{:<{}}]", std::string(static_cast<size_t>(filled), '#'), kWidth);
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

Progress::Progress(int64_t total, int64_t first)
    : Progress(total, first, stderr, terminal_columns(), Clock::now()) {}

Progress::Progress(int64_t total, int64_t first, std::FILE* stream, int columns,
                   Clock::time_point start)
    : total_(total), first_(first), stream_(stream), columns_(columns), start_(start) {}

Progress::~Progress() {
  if (drawn_) std::fputc('\n', stream_);
}

void Progress::update(int64_t done, const std::vector<ProgressItem>& items, Clock::time_point now) {
  std::string line;
  if (columns_ > 0)
    line = bar(static_cast<double>(done) / static_cast<double>(std::max<int64_t>(total_, 1)));
  else
    line = "step";
  line +=
      fmt::format(" {:>{}}/{}", done, columns_ > 0 ? fmt::format("{}", total_).size() : 0, total_);
  for (const ProgressItem& item : items)
    line += fmt::format("  {} {:.{}f}", item.name, item.value, item.digits);
  if (done > first_) {
    const std::chrono::duration<double> elapsed = now - start_;
    line += fmt::format("  left {}",
                        duration_text(elapsed.count() / static_cast<double>(done - first_) *
                                      static_cast<double>(total_ - done)));
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
