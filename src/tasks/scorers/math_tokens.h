// LaTeX and plain text of an answer as tokens.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

struct MathToken {
  enum class Kind {
    kNumber,   // digits, commas of thousands taken out
    kLetter,   // one letter
    kWord,     // several letters
    kCommand,  // "frac", "pi", "sin", …: without the backslash
    kSymbol    // one character, or "\\{", "\\}", "<=", ">="
  };
  Kind kind;
  std::string text;
  bool is_spaced = false;  // white space before it
  bool is_text = false;    // within \text{…}

  bool is(std::string_view symbol) const { return kind == Kind::kSymbol && text == symbol; }
  bool is_command(std::string_view name) const { return kind == Kind::kCommand && text == name; }
};
using MathTokens = std::span<const MathToken>;

/// Absent for a text with a character that is not used in formulas. Marks of size and spacing are
/// left out; \dfrac is \frac, \times is *, ≤ is <=, "and" and "or" are commas, and so on.
std::optional<std::vector<MathToken>> math_tokens(std::string_view text);

}  // namespace caprl
