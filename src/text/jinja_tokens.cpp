#include "text/jinja_tokens.h"

#include <cctype>

#include "caprl/core/error.h"

namespace caprl {
namespace {

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

class TokenReader {
 public:
  TokenReader(std::string_view source, const std::string& where) : source_(source), where_(where) {}

  std::vector<JinjaToken> run() {
    std::vector<JinjaToken> tokens;
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (std::isspace(static_cast<unsigned char>(c)))
        ++at_;
      else if (c == '\'' || c == '"')
        tokens.push_back({JinjaToken::Kind::kString, read_string()});
      else if (is_name_char(c))
        tokens.push_back({std::isdigit(static_cast<unsigned char>(c)) ? JinjaToken::Kind::kNumber
                                                                      : JinjaToken::Kind::kName,
                          read_name()});
      else
        tokens.push_back({JinjaToken::Kind::kSign, read_sign()});
    }
    tokens.push_back({});
    return tokens;
  }

 private:
  std::string read_name() {
    const size_t start = at_;
    while (at_ < source_.size() && is_name_char(source_[at_])) ++at_;
    return std::string(source_.substr(start, at_ - start));
  }

  std::string read_sign() {
    const std::string_view rest = source_.substr(at_);
    size_t length = 1;
    for (const char* pair : {"==", "!=", "<=", ">=", "//"})
      if (rest.starts_with(pair)) length = 2;
    at_ += length;
    return std::string(rest.substr(0, length));
  }

  std::string read_string() {
    const char quote = source_[at_++];
    std::string text;
    for (; at_ < source_.size() && source_[at_] != quote; ++at_) {
      if (source_[at_] != '\\') {
        text += source_[at_];
        continue;
      }
      ++at_;
      const size_t escape = std::string_view("nt\\'\"").find(source_.substr(at_, 1));
      if (at_ >= source_.size() || escape == std::string_view::npos)
        throw InputError("{}: string escape in {} is not supported", where_, source_);
      text += "\n\t\\'\""[escape];
    }
    if (at_ >= source_.size()) throw InputError("{}: string without an end in {}", where_, source_);
    ++at_;
    return text;
  }

  std::string_view source_;
  const std::string& where_;
  size_t at_ = 0;
};

}  // namespace

std::vector<JinjaToken> read_jinja_tokens(std::string_view source, const std::string& where) {
  return TokenReader(source, where).run();
}

}  // namespace caprl
