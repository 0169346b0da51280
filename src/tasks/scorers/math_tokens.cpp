#include "tasks/scorers/math_tokens.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "tasks/scorers/answer_text.h"

namespace caprl {
namespace {

using Kind = MathToken::Kind;
using Rename = std::pair<std::string_view, std::string_view>;

/// What is written otherwise before it is read.
constexpr std::array<Rename, 26> kCharacters = {{
    {"−", "-"},        {"–", "-"},         {"×", "*"},        {"·", "*"},        {"⋅", "*"},
    {"÷", "/"},        {"π", "\\pi "},     {"∞", "\\infty "}, {"√", "\\sqrt "},  {"°", "\\degree "},
    {"≤", "\\le "},    {"≥", "\\ge "},     {"≈", "="},        {"∪", "\\cup "},   {"±", "\\pm "},
    {"²", "^2"},       {"³", "^3"},        {"θ", "\\theta "}, {"α", "\\alpha "}, {"β", "\\beta "},
    {"γ", "\\gamma "}, {"λ", "\\lambda "}, {"，", ","},       {"；", ";"},       {"{,}", ""},
    {"\\,", " "},
}};

/// Commands that are another token.
constexpr std::array<Rename, 22> kSymbolCommands = {{
    {"cdot", "*"},     {"times", "*"},  {"ast", "*"},    {"div", "/"},       {"le", "<="},
    {"leq", "<="},     {"ge", ">="},    {"geq", ">="},   {"leqslant", "<="}, {"geqslant", ">="},
    {"lt", "<"},       {"gt", ">"},     {"approx", "="}, {"simeq", "="},     {"lbrace", "\\{"},
    {"rbrace", "\\}"}, {"lvert", "|"},  {"rvert", "|"},  {"vert", "|"},      {"colon", ":"},
    {"lparen", "("},   {"rparen", ")"},
}};

constexpr std::array<std::string_view, 14> kIgnored = {
    "left", "right",        "big",  "Big",   "bigl",   "bigr",     "Bigl",
    "Bigr", "displaystyle", "quad", "qquad", "limits", "mathopen", "mathclose"};
constexpr std::array<std::string_view, 9> kTexts = {
    "text", "textbf", "textit", "textrm", "mathrm", "mathbf", "mathit", "mbox", "operatorname"};
constexpr std::array<std::string_view, 10> kFunctions = {"sin", "cos", "tan", "cot",  "sec",
                                                         "csc", "log", "ln",  "sqrt", "pi"};

template <size_t N>
bool has(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string with_renamed_characters(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const auto* found = std::find_if(kCharacters.begin(), kCharacters.end(), [&](const Rename& r) {
      return text.substr(i).starts_with(r.first);
    });
    if (found == kCharacters.end()) {
      result += text[i++];
    } else {
      result += found->second;
      i += found->first.size();
    }
  }
  return result;
}

class Tokenizer {
 public:
  Tokenizer(std::string_view text, bool is_text) : text_(text), is_text_(is_text) {}

  std::optional<std::vector<MathToken>> run() {
    while (at_ < text_.size())
      if (!step()) return std::nullopt;
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }

  void add(Kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), spaced_, is_text_});
    spaced_ = false;
  }

  bool step() {
    const char c = text_[at_];
    if (std::isspace(static_cast<unsigned char>(c)) != 0 || c == '~') {
      spaced_ = true;
      ++at_;
      return true;
    }
    const bool is_point = c == '.' && at_ + 1 < text_.size() && is_digit(text_[at_ + 1]);
    if (is_digit(c) || is_point) return number();
    if (is_letter(c)) return letters();
    if (c == '\\') return command();
    if (c == '$') return ++at_, true;  // of formulas and of money
    if (c == '<' || c == '>') return relation(c);
    static constexpr std::string_view kSymbols = "+-*/^_=()[]{},;:!|%";
    if (kSymbols.find(c) == std::string_view::npos) return false;
    if (c == '(' || c == '[') ++depth_;
    if (c == ')' || c == ']') --depth_;
    add(Kind::kSymbol, std::string(1, c));
    ++at_;
    return true;
  }

  bool relation(char c) {
    const bool with_equal = rest().size() > 1 && rest()[1] == '=';
    add(Kind::kSymbol, with_equal ? std::string{c, '='} : std::string(1, c));
    at_ += with_equal ? 2 : 1;
    return true;
  }

  size_t digits_at(size_t place) const {
    size_t count = 0;
    while (place + count < text_.size() && is_digit(text_[place + count])) ++count;
    return count;
  }

  /// Groups of thousands count outside brackets only: "(1,234)" is a pair.
  bool number() {
    size_t count = digits_at(at_);
    std::string digits(rest().substr(0, count));
    at_ += count;
    while (depth_ == 0 && count >= 1 && count <= 3 && rest().starts_with(',') &&
           digits_at(at_ + 1) == 3) {
      digits += rest().substr(1, 3);
      at_ += 4;
    }
    const size_t decimals = rest().starts_with('.') ? digits_at(at_ + 1) : 0;
    if (rest().starts_with('.') &&
        (decimals > 0 || at_ + 1 == text_.size() || !is_letter(text_[at_ + 1]))) {
      digits += rest().substr(0, decimals + 1);
      at_ += decimals + 1;
    }
    add(Kind::kNumber, std::move(digits));
    return true;
  }

  bool letters() {
    size_t count = 1;
    while (count < rest().size() && is_letter(rest()[count])) ++count;
    std::string word(rest().substr(0, count));
    at_ += count;
    if (word == "and" || word == "or") {
      add(Kind::kSymbol, ",");
    } else if (count == 1) {
      add(Kind::kLetter, std::move(word));
    } else {
      add(has(kFunctions, word) ? Kind::kCommand : Kind::kWord, std::move(word));
    }
    return true;
  }

  bool command() {
    size_t count = 1;
    while (count < rest().size() && is_letter(rest()[count])) ++count;
    if (count == 1) return escaped();
    const std::string name(rest().substr(1, count - 1));
    at_ += count;
    if (has(kIgnored, name)) return true;
    if (has(kTexts, name)) return quoted();
    for (const auto& [from, to] : kSymbolCommands)
      if (name == from) return add(Kind::kSymbol, std::string(to)), true;
    const bool is_fraction = name == "dfrac" || name == "tfrac" || name == "cfrac";
    add(Kind::kCommand, is_fraction ? "frac" : name);
    if (tokens_.back().text == "frac") single_digits(2);
    if (name == "sqrt") single_digits(1);
    return true;
  }

  /// "\frac12" takes a digit each.
  void single_digits(int count) {
    for (; count > 0; --count) {
      while (rest().starts_with(' ')) ++at_;
      if (rest().empty() || !is_digit(rest()[0])) return;
      add(Kind::kNumber, std::string(1, rest()[0]));
      ++at_;
    }
  }

  bool escaped() {
    const char c = rest().size() > 1 ? rest()[1] : '\0';
    at_ += 2;
    if (c == '{') ++depth_;
    if (c == '}') --depth_;
    if (c == '{' || c == '}') return add(Kind::kSymbol, std::string{'\\', c}), true;
    if (c == '%') return add(Kind::kSymbol, "%"), true;
    spaced_ = true;
    static constexpr std::string_view kSpacing = " ,;:!$()[]";
    return kSpacing.find(c) != std::string_view::npos;
  }

  bool quoted() {
    while (rest().starts_with(' ')) ++at_;
    const auto inside = rest().starts_with('{') ? braced(text_, at_) : std::nullopt;
    if (!inside) return false;
    auto tokens = Tokenizer(*inside, true).run();
    if (!tokens) return false;
    at_ += inside->size() + 2;
    std::move(tokens->begin(), tokens->end(), std::back_inserter(tokens_));
    return true;
  }

  std::string_view text_;
  bool is_text_;
  size_t at_ = 0;
  int depth_ = 0;  // of brackets
  bool spaced_ = false;
  std::vector<MathToken> tokens_;
};

}  // namespace

std::optional<std::vector<MathToken>> math_tokens(std::string_view text) {
  const std::string renamed = with_renamed_characters(text);
  return Tokenizer(renamed, false).run();
}

}  // namespace caprl
