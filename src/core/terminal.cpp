#include "caprl/core/terminal.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cwchar>
#include <limits>

namespace caprl {
namespace {

/// The thread's locale for as long as it lives.
class LocaleScope {
 public:
  explicit LocaleScope(locale_t locale) : before_(::uselocale(locale)) {}
  ~LocaleScope() { ::uselocale(before_); }
  LocaleScope(const LocaleScope&) = delete;
  LocaleScope& operator=(const LocaleScope&) = delete;

 private:
  locale_t before_;
};

bool is_control(wchar_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

/// Joiners, selectors of another, wider shape, marks of direction.
bool is_shapeless(wchar_t c) {
  return (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2060 && c <= 0x2069) || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff;
}

/// Means of `count` parts of the values, those that are not finite left out.
std::vector<double> means(std::span<const double> values, size_t count) {
  std::vector<double> means;
  for (size_t part = 0; part < count; ++part) {
    double sum = 0;
    int64_t finite = 0;
    for (size_t i = part * values.size() / count; i < (part + 1) * values.size() / count; ++i)
      if (std::isfinite(values[i])) {
        sum += values[i];
        ++finite;
      }
    means.push_back(finite ? sum / static_cast<double>(finite)
                           : std::numeric_limits<double>::quiet_NaN());
  }
  return means;
}

}  // namespace

std::optional<TerminalSize> terminal_size() {
  const char* term = std::getenv("TERM");
  const char* plain = std::getenv("NO_COLOR");
  if (!::isatty(STDERR_FILENO) || term == nullptr || *term == '\0' ||
      std::string_view(term) == "dumb" || (plain != nullptr && *plain != '\0'))
    return std::nullopt;
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    return TerminalSize{};
  return TerminalSize{size.ws_col, size.ws_row};
}

bool owns_terminal() {
  const pid_t owner = ::tcgetpgrp(STDERR_FILENO);
  return owner < 0 || owner == ::getpgrp();
}

std::mutex& stderr_mutex() {
  static std::mutex mutex;
  return mutex;
}

TerminalText::TerminalText() : locale_(::newlocale(LC_CTYPE_MASK, "", nullptr)) {
  if (locale_ == nullptr || std::string_view(::nl_langinfo_l(CODESET, locale_)) == "UTF-8") return;
  ::freelocale(locale_);
  locale_ = nullptr;
}

TerminalText::~TerminalText() {
  if (locale_ != nullptr) ::freelocale(locale_);
}

std::vector<TerminalText::Character> TerminalText::characters(std::string_view text) const {
  std::vector<Character> characters;
  std::optional<LocaleScope> scope;
  if (locale_ != nullptr) scope.emplace(locale_);
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    std::mbstate_t state{};
    wchar_t c = static_cast<unsigned char>(rest[0]);
    size_t size = 1;
    bool known = c < 0x80;
    if (!known && locale_ != nullptr) {
      size = std::mbrtowc(&c, rest.data(), rest.size(), &state);
      known = size <= rest.size();  // otherwise the error values (size_t)-1 and -2
      if (!known) size = 1;
    } else if (!known) {  // one '?' for all bytes of the character
      while (size < rest.size() && (static_cast<unsigned char>(rest[size]) & 0xc0) == 0x80) ++size;
    }
    at += size;
    if (known && is_control(c)) {
      characters.push_back({" ", 1});
    } else if (known && !is_shapeless(c)) {
      const int columns = c < 0x80 ? 1 : ::wcwidth(c);
      if (columns >= 0)
        characters.push_back({std::string(rest.substr(0, size)), columns});
      else
        characters.push_back({"?", 1});
    } else if (!known) {
      characters.push_back({"?", 1});
    }
  }
  return characters;
}

int TerminalText::columns(std::string_view text) const {
  int columns = 0;
  for (const Character& character : characters(text)) columns += character.columns;
  return columns;
}

std::vector<std::string> TerminalText::lines(std::string_view text, int columns, int most) const {
  const std::string ellipsis = locale_ != nullptr ? "…" : ".";
  std::vector<std::string> lines(1);
  std::vector<Character> line;
  int used = 0;
  for (Character& character : characters(text)) {
    if (used + character.columns > columns) {
      if (std::ssize(lines) == most) {
        while (!line.empty() && used + 1 > columns) {
          used -= line.back().columns;
          line.pop_back();
        }
        line.push_back({ellipsis, 1});
        break;
      }
      for (const Character& done : line) lines.back() += done.bytes;
      lines.emplace_back();
      line.clear();
      used = 0;
      if (character.bytes == " ") continue;
    }
    used += character.columns;
    line.push_back(std::move(character));
  }
  for (const Character& done : line) lines.back() += done.bytes;
  return lines;
}

std::string TerminalText::curve(std::span<const double> values, int columns) const {
  constexpr std::array<const char*, 8> kBlocks{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr std::array<const char*, 8> kAscii{"_", ".", "-", "~", "=", "+", "*", "#"};
  const auto& shapes = locale_ != nullptr ? kBlocks : kAscii;
  const auto points = means(values, std::min(values.size(), static_cast<size_t>(columns)));
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double point : points) {
    low = std::fmin(low, point);  // fmin and fmax pass over NaN
    high = std::fmax(high, point);
  }
  std::string curve;
  for (const double point : points) {
    if (std::isnan(point)) {
      curve += ' ';
      continue;
    }
    const double height = high > low ? (point - low) / (high - low) : 0.5;
    curve += shapes[static_cast<size_t>(std::clamp(height * 8, 0.0, 7.0))];
  }
  return curve;
}

}  // namespace caprl
