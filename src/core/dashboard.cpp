#include "caprl/core/dashboard.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

#include "caprl/core/termination.h"

namespace caprl {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(500);
constexpr int kMostCaptionLines = 3, kMostCurve = 60, kLeastCurve = 5;

double seconds_between(std::chrono::steady_clock::time_point a,
                       std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

/// Pieces side by side, as many in a line as fit.
void add_pieces(const std::vector<std::string>& pieces, int columns, const TerminalText& text,
                std::vector<std::string>& lines) {
  std::string line;
  for (const std::string& piece : pieces) {
    if (piece.empty()) continue;
    const std::string longer = line.empty() ? piece : line + "  " + piece;
    if (line.empty() || text.columns(longer) <= columns) {
      line = longer;
      continue;
    }
    lines.push_back(text.lines(line, columns, 1)[0]);
    line = piece;
  }
  if (!line.empty()) lines.push_back(text.lines(line, columns, 1)[0]);
}

std::vector<std::string> head_of(const RunPicture& picture, int columns) {
  const double share =
      static_cast<double>(picture.done) / static_cast<double>(std::max<int64_t>(picture.total, 1));
  const std::string count = fmt::format("{}/{}", picture.done, picture.total);
  const int width = std::min(20, columns - static_cast<int>(count.size()) - 3);
  std::vector<std::string> pieces;
  pieces.push_back(width >= 4 ? fmt::format("{} {}", progress_bar(share, width), count) : count);
  if (!picture.phase.empty())
    pieces.push_back(fmt::format("{} {}", picture.phase, duration_text(picture.phase_seconds)));
  if (picture.seconds_left)
    pieces.push_back(fmt::format("left {}", duration_text(*picture.seconds_left)));
  pieces.push_back(picture.notice);
  return pieces;
}

/// "reward 0.531  ▁▂▃", the curve only where there is room for it.
std::string curve_of(const RunPicture& picture, int columns, const TerminalText& text) {
  std::string line = item_text(picture.items[0]);
  const int room = std::min(columns - static_cast<int>(line.size()) - 2, kMostCurve);
  if (room >= kLeastCurve && picture.curve.size() > 1)
    line += "  " + text.curve(picture.curve, room);
  return line;
}

}  // namespace

std::vector<std::string> draw(const RunPicture& picture, const TerminalSize& size,
                              const TerminalText& text) {
  const int columns = std::max(size.columns - 1, 1);  // the last one would wrap
  std::vector<std::string> lines;
  add_pieces(head_of(picture, columns), columns, text, lines);
  if (!picture.items.empty()) add_pieces({curve_of(picture, columns, text)}, columns, text, lines);
  std::vector<std::string> pieces;
  for (size_t i = 1; i < picture.items.size(); ++i) pieces.push_back(item_text(picture.items[i]));
  for (const ProgressItem& item : picture.memory) pieces.push_back(item_text(item));
  add_pieces(pieces, columns, text, lines);
  if (!picture.caption.empty())
    for (std::string& line : text.lines("caption: " + picture.caption, columns, kMostCaptionLines))
      lines.push_back(std::move(line));
  // Lines above the screen could not be drawn over.
  lines.resize(std::min(lines.size(), static_cast<size_t>(std::max(size.rows - 1, 1))));
  return lines;
}

Dashboard::Dashboard(int64_t total, int64_t first)
    : first_(first), start_(Clock::now()), phase_start_(start_), last_step_(start_) {
  picture_.total = total;
  picture_.done = first;
  if (!terminal_size()) {
    plain_.emplace(total, first, stderr, 0, start_);
    return;
  }
  set_parting(kClearBelow);
  thread_ = std::thread([this] { keep_drawing(); });
}

Dashboard::~Dashboard() {
  if (plain_) return;
  std::unique_lock lock(mutex_);
  ending_ = true;
  wake_.notify_all();
  lock.unlock();
  thread_.join();
  lock.lock();
  if (drawn_ || changed_) draw_now(lock, /*last=*/true);
  set_parting(nullptr);
}

void Dashboard::phase(std::string name) {
  if (plain_) return;
  const std::lock_guard lock(mutex_);
  picture_.phase = std::move(name);
  phase_start_ = Clock::now();
}

void Dashboard::update(int64_t done, const std::vector<ProgressItem>& items,
                       const std::vector<ProgressItem>& memory, std::string caption) {
  if (plain_) return plain_->update(done, items);
  const std::lock_guard lock(mutex_);
  last_step_ = Clock::now();
  if (done == first_) start_ = last_step_;  // an evaluation before the first step
  if (!items.empty()) {
    // Another figure, as of an evaluation before the first step, begins another curve.
    if (!picture_.items.empty() && picture_.items[0].name != items[0].name) picture_.curve.clear();
    picture_.curve.push_back(items[0].value);
  }
  picture_.done = done;
  picture_.items = items;
  picture_.memory = memory;
  if (!caption.empty()) picture_.caption = std::move(caption);
  changed_ = true;
  wake_.notify_all();
}

void Dashboard::keep_drawing() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, kRedraw, [this] { return ending_ || changed_; });
    if (ending_) return;
    changed_ = false;
    if (owns_terminal()) draw_now(lock, /*last=*/false);
  }
}

void Dashboard::draw_now(std::unique_lock<std::mutex>& lock, bool last) {
  const auto size = terminal_size();
  if (!size) return;
  const auto now = Clock::now();
  picture_.phase_seconds = seconds_between(phase_start_, now);
  if (picture_.done > first_) {
    const double whole = seconds_to_come(picture_.done - first_, picture_.total - picture_.done,
                                         seconds_between(start_, last_step_));
    picture_.seconds_left = std::max(0.0, whole - seconds_between(last_step_, now));
  }
  picture_.notice = "";
  if (termination_signal() != 0 && !last)
    picture_.notice = "stopping after this step (Ctrl-C: at once)";
  if (last && picture_.done == picture_.total) picture_.phase = "";
  const auto lines = draw(picture_, *size, text_);
  std::string output = kClearBelow + fmt::format("{}", fmt::join(lines, "\r\n"));
  if (last)
    output += "\r\n";
  else if (lines.size() > 1)
    output += fmt::format("\x1b[{}A", lines.size() - 1);
  if (!last) output += '\r';
  drawn_ = true;
  lock.unlock();  // training does not wait for a terminal that has been stopped (Ctrl-S)
  {
    const std::lock_guard whole(stderr_mutex());
    std::fwrite(output.data(), 1, output.size(), stderr);
    std::fflush(stderr);
  }
  lock.lock();
}

}  // namespace caprl
