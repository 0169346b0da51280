#include "text/jinja_lexer.h"

#include <optional>

#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr std::string_view kSpace = " \t\r\n\v\f";

std::string_view trim_left(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}

std::string_view trim_right(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kSpace) + 1);  // npos + 1 is 0
}

/// Drops the blanks between the start of the line and the end of `text`. At the start of the
/// template, or of what follows a tag's newline, `at_line_start` is true.
std::string_view strip_line_start(std::string_view text, bool at_line_start) {
  const size_t last = text.find_last_not_of(" \t");
  if (last == std::string_view::npos) return at_line_start ? std::string_view() : text;
  return text[last] == '\n' ? text.substr(0, last + 1) : text;
}

size_t find_tag(std::string_view source, size_t from) {
  for (size_t at = source.find('{', from); at + 1 < source.size(); at = source.find('{', at + 1)) {
    if (at == std::string_view::npos) break;
    if (std::string_view("{%#").find(source[at + 1]) != std::string_view::npos) return at;
  }
  return std::string_view::npos;
}

/// Where the tag's closing pair stands, looking past string literals (not in comments).
size_t find_end(std::string_view source, size_t from, std::string_view closing) {
  char quote = 0;
  for (size_t at = from; at + 1 < source.size(); ++at) {
    const char c = source[at];
    if (quote != 0) {
      if (c == '\\') ++at;
      if (c == quote) quote = 0;
    } else if (source.substr(at, 2) == closing) {
      return at;
    } else if ((c == '"' || c == '\'') && closing != "#}") {
      quote = c;
    }
  }
  return std::string_view::npos;
}

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& where) : source_(source), where_(where) {
    if (source_.ends_with('\n')) source_.remove_suffix(1);
  }

  std::vector<JinjaPiece> run() {
    while (true) {
      const size_t tag = find_tag(source_, at_);
      if (tag == std::string_view::npos) break;
      read_tag(tag);
    }
    add_text(source_.substr(at_));
    return std::move(pieces_);
  }

 private:
  void add_text(std::string_view text) {
    if (trim_next_) text = trim_left(text);
    if (!text.empty()) pieces_.push_back({JinjaPiece::Kind::kText, std::string(text)});
  }

  void read_tag(size_t tag) {
    const char kind = source_[tag + 1];
    const std::string_view closing = kind == '{' ? "}}" : kind == '%' ? "%}" : "#}";
    const size_t end = find_end(source_, tag + 2, closing);
    if (end == std::string_view::npos)
      throw InputError("{}: the tag at byte {} has no end \"{}\"", where_, tag, closing);
    std::string_view inside = source_.substr(tag + 2, end - tag - 2);
    std::string_view before = source_.substr(at_, tag - at_);
    if (inside.starts_with('-'))
      before = trim_right(before);
    else if (kind != '{' && !inside.starts_with('+'))
      before = strip_line_start(before, at_line_start_);
    add_text(before);
    if (inside.starts_with('-') || inside.starts_with('+')) inside.remove_prefix(1);
    trim_next_ = inside.ends_with('-');
    const bool keep_newline = inside.ends_with('+');
    if (trim_next_ || keep_newline) inside.remove_suffix(1);
    if (kind != '#') {
      pieces_.push_back({kind == '{' ? JinjaPiece::Kind::kExpression : JinjaPiece::Kind::kStatement,
                         std::string(trim_left(trim_right(inside)))});
    }
    at_ = end + 2;
    at_line_start_ = kind != '{' && !keep_newline && source_.substr(at_).starts_with('\n');
    if (at_line_start_) ++at_;
  }

  std::string_view source_;
  const std::string& where_;
  std::vector<JinjaPiece> pieces_;
  size_t at_ = 0;
  bool at_line_start_ = true;
  bool trim_next_ = false;
};

}  // namespace

std::vector<JinjaPiece> lex_jinja(std::string_view source, const std::string& where) {
  return Lexer(source, where).run();
}

}  // namespace caprl
