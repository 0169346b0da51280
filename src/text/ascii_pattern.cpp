#include "text/ascii_pattern.h"

#include <array>
#include <cstdint>
#include <limits>

namespace caprl {
namespace {

constexpr size_t kAnyNumber = std::numeric_limits<size_t>::max();

enum class Class : uint8_t { kLetter, kDigit, kSpace, kOther };

/// ICU's \p{L}, \p{N} and \s, of ASCII.
constexpr std::array<Class, 128> kClasses = [] {
  std::array<Class, 128> classes;
  classes.fill(Class::kOther);
  for (char c = 'a'; c <= 'z'; ++c) classes[c] = classes[c - 'a' + 'A'] = Class::kLetter;
  for (char c = '0'; c <= '9'; ++c) classes[c] = Class::kDigit;
  for (const char c : {'\t', '\n', '\v', '\f', '\r', ' '}) classes[c] = Class::kSpace;
  return classes;
}();

/// A text from some place on.
class Reader {
 public:
  Reader(std::string_view text, size_t begin) : text_(text), at_(begin) {}

  bool is(Class wanted) const { return is_at(at_, wanted); }
  bool next_is(Class wanted) const { return is_at(at_ + 1, wanted); }
  bool is_char(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool is_newline() const { return is_char('\r') || is_char('\n'); }

  /// Past some of a class.
  void pass(Class some, size_t most = kAnyNumber) {
    for (; most > 0 && is(some); --most) ++at_;
  }
  void pass_newlines() {
    while (is_newline()) ++at_;
  }
  void pass_one() { ++at_; }

  /// 's, 't, 're, 've, 'm, 'll, 'd.
  bool pass_contraction(bool any_case) {
    if (!is_char('\'')) return false;
    const auto letter = [&](size_t i) -> char {
      if (i >= text_.size()) return 0;
      const char c = text_[i];
      return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    const char first = letter(at_ + 1), second = letter(at_ + 2);
    size_t letters = 0;
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
      letters = 1;
    else if (((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l'))
      letters = 2;
    if (letters == 0) return false;
    at_ += 1 + letters;
    return true;
  }

  /// \s+(?!\S)|\s+: what follows keeps the last space, if there are more.
  void pass_spaces() {
    const size_t begin = at_;
    pass(Class::kSpace);
    if (at_ < text_.size() && at_ > begin + 1) --at_;
  }
  /// \s*[\r\n]+|\s+(?!\S)|\s+
  void pass_lines_or_spaces() {
    const size_t begin = at_;
    pass(Class::kSpace);
    const size_t last = text_.substr(begin, at_ - begin).find_last_of("\r\n");
    at_ = begin;
    if (last != std::string_view::npos)
      at_ += last + 1;
    else
      pass_spaces();
  }

  size_t place() const { return at_; }

 private:
  bool is_at(size_t place, Class wanted) const {
    return place < text_.size() && kClasses[static_cast<uint8_t>(text_[place])] == wanted;
  }

  std::string_view text_;
  size_t at_;
};

size_t end_by_gpt2(Reader text) {
  if (text.pass_contraction(/*any_case=*/false)) return text.place();
  for (const Class some : {Class::kLetter, Class::kDigit, Class::kOther}) {
    const bool after_space = text.is_char(' ') && text.next_is(some);
    if (!after_space && !text.is(some)) continue;
    if (after_space) text.pass_one();
    text.pass(some);
    return text.place();
  }
  text.pass_spaces();
  return text.place();
}

size_t end_by_qwen(Reader text, size_t most_digits) {
  if (text.pass_contraction(/*any_case=*/true)) return text.place();
  const bool may_lead = !text.is(Class::kDigit) && !text.is_newline();  // or is a letter itself
  if (text.is(Class::kLetter) || (may_lead && text.next_is(Class::kLetter))) {
    text.pass_one();
    text.pass(Class::kLetter);
  } else if (text.is(Class::kDigit)) {
    text.pass(Class::kDigit, most_digits);
  } else if (text.is(Class::kOther) || (text.is_char(' ') && text.next_is(Class::kOther))) {
    text.pass_one();
    text.pass(Class::kOther);
    text.pass_newlines();
  } else {
    text.pass_lines_or_spaces();
  }
  return text.place();
}

size_t end_by_digits(Reader text, size_t most_digits, size_t size) {
  if (text.is(Class::kDigit)) {
    text.pass(Class::kDigit, most_digits);
  } else {
    while (text.place() < size && !text.is(Class::kDigit)) text.pass_one();
  }
  return text.place();
}

}  // namespace

bool is_ascii(std::string_view text) {
  uint8_t all = 0;
  for (const char c : text) all |= static_cast<uint8_t>(c);
  return all < 0x80;
}

std::optional<AsciiPattern> AsciiPattern::of(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return AsciiPattern(Kind::kGpt2, kAnyNumber);
  if (pattern == kQwenPattern) return AsciiPattern(Kind::kQwen, 1);
  if (pattern == kLlama3Pattern) return AsciiPattern(Kind::kQwen, 3);
  if (pattern == kDigitPattern) return AsciiPattern(Kind::kDigits, 1);
  if (pattern == kDigitsPattern) return AsciiPattern(Kind::kDigits, kAnyNumber);
  return std::nullopt;
}

size_t AsciiPattern::end_of_piece(std::string_view text, size_t begin) const {
  const Reader reader(text, begin);
  switch (kind_) {
    case Kind::kGpt2:
      return end_by_gpt2(reader);
    case Kind::kQwen:
      return end_by_qwen(reader, most_digits_);
    case Kind::kDigits:
      return end_by_digits(reader, most_digits_, text.size());
  }
  return text.size();
}

}  // namespace caprl
