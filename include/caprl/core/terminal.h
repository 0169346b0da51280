// The terminal that stderr may be, and what it shows of a text.
#pragma once
#include <locale.h>

#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

struct TerminalSize {
  int columns = 80, rows = 24;
};

/// Of stderr. Nothing if that is no terminal, or one that wants plain lines: TERM is dumb or not
/// set, or NO_COLOR is set.
std::optional<TerminalSize> terminal_size();

/// False for a job in the background: the terminal is another's.
bool owns_terminal();

/// Of what is written to stderr in pieces, and of what is drawn there.
std::mutex& stderr_mutex();

/// Clears the line of the cursor, and all that is below it.
inline constexpr const char* kClearBelow = "\r\x1b[J";

/// Texts as the terminal of the environment's locale shows them: in UTF-8, or else in ASCII, a '?'
/// for every other character. Control characters, which a terminal would obey, are shown as spaces;
/// what has no shape of its own (joiners, marks of direction) is left out.
class TerminalText {
 public:
  TerminalText();
  ~TerminalText();
  TerminalText(const TerminalText&) = delete;
  TerminalText& operator=(const TerminalText&) = delete;

  /// Columns of what is shown of `text`.
  int columns(std::string_view text) const;
  /// `text` in lines of at most `columns` columns; what does not fit into `most` lines is replaced
  /// by an ellipsis.
  std::vector<std::string> lines(std::string_view text, int columns, int most) const;
  /// A small curve of `values`, at most `columns` columns wide; each is the mean of as many values.
  std::string curve(std::span<const double> values, int columns) const;

 private:
  struct Character {
    std::string bytes;
    int columns;
  };
  std::vector<Character> characters(std::string_view text) const;

  locale_t locale_;  // null: ASCII
};

}  // namespace caprl
