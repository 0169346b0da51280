#include "tasks/scorers/math_units.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace caprl {
namespace {

using Kind = MathToken::Kind;

/// Spellings, singular, and what they are called here.
constexpr std::array<std::pair<std::string_view, std::string_view>, 70> kUnits = {{
    {"mm", "mm"},         {"millimeter", "mm"},
    {"millimetre", "mm"}, {"cm", "cm"},
    {"centimeter", "cm"}, {"centimetre", "cm"},
    {"dm", "dm"},         {"decimeter", "dm"},
    {"m", "m"},           {"meter", "m"},
    {"metre", "m"},       {"km", "km"},
    {"kilometer", "km"},  {"kilometre", "km"},
    {"in", "in"},         {"inch", "in"},
    {"inche", "in"},      {"ft", "ft"},
    {"foot", "ft"},       {"feet", "ft"},
    {"yd", "yd"},         {"yard", "yd"},
    {"mi", "mi"},         {"mile", "mi"},
    {"mg", "mg"},         {"g", "g"},
    {"gram", "g"},        {"kg", "kg"},
    {"kilogram", "kg"},   {"lb", "lb"},
    {"pound", "lb"},      {"ton", "ton"},
    {"ml", "ml"},         {"mL", "ml"},
    {"milliliter", "ml"}, {"l", "l"},
    {"L", "l"},           {"liter", "l"},
    {"litre", "l"},       {"ms", "ms"},
    {"s", "s"},           {"sec", "s"},
    {"second", "s"},      {"min", "min"},
    {"minute", "min"},    {"h", "h"},
    {"hr", "h"},          {"hour", "h"},
    {"day", "day"},       {"week", "week"},
    {"month", "month"},   {"year", "year"},
    {"degree", "degree"}, {"deg", "degree"},
    {"rad", "rad"},       {"radian", "rad"},
    {"N", "N"},           {"J", "J"},
    {"W", "W"},           {"V", "V"},
    {"A", "A"},           {"K", "K"},
    {"Pa", "Pa"},         {"Hz", "Hz"},
    {"mol", "mol"},       {"dollar", "dollar"},
    {"USD", "dollar"},    {"cent", "cent"},
    {"unit", "unit"},     {"percent", "percent"},
}};

std::optional<std::string_view> unit_of(std::string_view word) {
  for (const std::string_view candidate :
       {word, word.ends_with('s') ? word.substr(0, word.size() - 1) : std::string_view()})
    for (const auto& [spelling, name] : kUnits)
      if (!candidate.empty() && candidate == spelling) return name;
  return std::nullopt;
}

/// Reads tokens as a unit, all of them or not.
class UnitReader {
 public:
  explicit UnitReader(MathTokens tokens) : tokens_(tokens) {}

  std::optional<std::string> run() {
    if (!is_marked()) return std::nullopt;
    std::string name;
    if (!item(name)) return std::nullopt;
    while (at_ < tokens_.size()) {
      const MathToken& token = tokens_[at_];
      if (token.is("/") || (token.kind == Kind::kWord && token.text == "per"))
        name += '/', ++at_;
      else if (token.is("*"))
        name += '*', ++at_;
      else
        return std::nullopt;
      if (!item(name)) return std::nullopt;
    }
    return name;
  }

 private:
  /// "5m" is five times m, "5 m" a length.
  bool is_marked() const {
    const MathToken& first = tokens_[0];
    return first.kind != Kind::kLetter || first.is_spaced || first.is_text;
  }

  bool degree() {
    const size_t before = at_;
    const bool raised = take("^");
    const bool is_braced = raised && take("{");
    const bool is_degree = at_ < tokens_.size() &&
                           (tokens_[at_].is_command("circ") || tokens_[at_].is_command("degree"));
    if (is_degree && (++at_, !is_braced || take("}"))) return true;
    at_ = before;
    return false;
  }

  bool item(std::string& name) {
    if (degree()) return name += "degree", true;
    int power = 1;
    if (word("square") || word("sq"))
      power = 2;
    else if (word("cubic"))
      power = 3;
    if (at_ >= tokens_.size()) return false;
    const MathToken& token = tokens_[at_];
    if (token.kind != Kind::kWord && token.kind != Kind::kLetter) return false;
    const auto unit = unit_of(token.text);
    if (!unit) return false;
    ++at_;
    if (take("^")) {
      const bool is_braced = take("{");
      if (at_ >= tokens_.size() || tokens_[at_].kind != Kind::kNumber) return false;
      power = std::atoi(tokens_[at_++].text.c_str());
      if (is_braced && !take("}")) return false;
    }
    name += *unit;
    if (power != 1) name += "^" + std::to_string(power);
    return true;
  }

  bool word(std::string_view text) {
    if (at_ >= tokens_.size() || tokens_[at_].kind != Kind::kWord || tokens_[at_].text != text)
      return false;
    ++at_;
    return true;
  }
  bool take(std::string_view symbol) {
    if (at_ >= tokens_.size() || !tokens_[at_].is(symbol)) return false;
    ++at_;
    return true;
  }

  MathTokens tokens_;
  size_t at_ = 0;
};

/// A unit does not follow an operator or an open bracket.
bool may_precede(const MathToken& token) {
  return token.kind != Kind::kSymbol || token.is(")") || token.is("]") || token.is("}") ||
         token.is("|") || token.is("!");
}

/// The degrees of a sine are the angle's, not the value's.
bool is_angle(MathTokens before, const MathToken& unit) {
  if (!unit.is("^") && !unit.is_command("circ") && !unit.is_command("degree")) return false;
  return std::any_of(before.begin(), before.end(), [](const MathToken& token) {
    return token.is_command("sin") || token.is_command("cos") || token.is_command("tan") ||
           token.is_command("cot") || token.is_command("sec") || token.is_command("csc");
  });
}

}  // namespace

MathUnit find_unit(MathTokens tokens) {
  for (size_t begin = 1; begin < tokens.size(); ++begin) {
    if (!may_precede(tokens[begin - 1]) || is_angle(tokens.first(begin), tokens[begin])) continue;
    if (auto name = UnitReader(tokens.subspan(begin)).run()) return {begin, *std::move(name)};
  }
  return {tokens.size(), {}};
}

}  // namespace caprl
