#include <algorithm>
#include <charconv>

#include "reward/terms/terms.h"

namespace caprl {
namespace {

/// "[mm:ss]" or "[mm:ss - mm:ss]", in seconds.
struct TimeSpan {
  int64_t start = 0, end = 0;
  bool is_valid = false;  // seconds below 60, minutes below 600, the end not before the start
};

/// Reads along a text; every function leaves it alone if it does not find what it looks for.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip_spaces() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
  }
  std::optional<int64_t> number() {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (rest_.empty() || rest_.front() == '-' || error != std::errc()) return std::nullopt;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }

 private:
  std::string_view rest_;
};

struct Time {
  int64_t minutes = 0, seconds = 0;
  bool is_valid() const { return seconds < 60 && minutes < 600; }
  int64_t total() const { return 60 * std::min<int64_t>(minutes, 1'000'000) + seconds; }
};

std::optional<Time> read_time(Cursor& cursor) {
  const auto minutes = cursor.number();
  if (!minutes || !cursor.take(':')) return std::nullopt;
  const auto seconds = cursor.number();
  if (!seconds) return std::nullopt;
  return Time{*minutes, std::min<int64_t>(*seconds, 1'000'000)};
}

/// The bracket's content after "[".
std::optional<TimeSpan> read_bracket(std::string_view text) {
  Cursor cursor(text);
  const auto start = read_time(cursor);
  if (!start) return std::nullopt;
  auto end = start;
  cursor.skip_spaces();
  if (cursor.take('-')) {
    cursor.skip_spaces();
    end = read_time(cursor);
    cursor.skip_spaces();
  }
  if (!end || !cursor.take(']')) return std::nullopt;
  return TimeSpan{start->total(), end->total(),
                  start->is_valid() && end->is_valid() && end->total() >= start->total()};
}

/// CapRL++'s R_format for captions of videos: half for times that can be, half for times in order.
class FormatTerm : public TermOf<FormatTerm, CaptionTerm> {
 public:
  std::string_view name() const override { return "format"; }
  std::string_view doc() const override {
    return "of video captions, 0 to 1: half the share of [mm:ss] and [mm:ss - mm:ss] that are "
           "valid "
           "times, and a half if they are in order (CapRL++)";
  }
  void term_fields(ConfigVisitor&) override {}
  std::optional<double> value(const CaptionToScore& caption, const CaptionReward&) const override {
    const std::string_view text = caption.text;
    int64_t all = 0, valid = 0, latest = 0;
    bool in_order = true;
    for (size_t at = text.find('['); at != std::string_view::npos; at = text.find('[', at + 1)) {
      const auto span = read_bracket(text.substr(at + 1));
      if (!span) continue;
      ++all;
      if (!span->is_valid) continue;
      ++valid;
      in_order = in_order && span->start >= latest;
      latest = std::max(latest, span->start);
    }
    if (all == 0) return 0;
    return 0.5 * static_cast<double>(valid) / static_cast<double>(all) +
           (valid > 0 && in_order ? 0.5 : 0);
  }
};

}  // namespace

std::unique_ptr<RewardTerm> make_format_term() { return std::make_unique<FormatTerm>(); }

}  // namespace caprl
