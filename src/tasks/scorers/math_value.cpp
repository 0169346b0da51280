#include "tasks/scorers/math_value.h"

#include <algorithm>
#include <cmath>

#include "tasks/scorers/math_units.h"

namespace caprl {
namespace {

using Kind = MathValue::Kind;
constexpr size_t kLongest = 512;  // bytes of an answer; longer ones are prose

bool opens(const MathToken& token) {
  return token.is("(") || token.is("[") || token.is("{") || token.is("\\{");
}
bool closes(const MathToken& token) {
  return token.is(")") || token.is("]") || token.is("}") || token.is("\\}");
}

/// Places outside of all brackets where `wanted` is true.
template <class F>
std::vector<size_t> places(MathTokens tokens, F wanted) {
  std::vector<size_t> found;
  int depth = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (opens(tokens[i])) ++depth;
    if (closes(tokens[i])) --depth;
    if (depth == 0 && wanted(tokens[i])) found.push_back(i);
  }
  return found;
}

std::vector<MathTokens> split_at(MathTokens tokens, const std::vector<size_t>& places) {
  std::vector<MathTokens> parts;
  size_t begin = 0;
  for (const size_t place : places) {
    parts.push_back(tokens.subspan(begin, place - begin));
    begin = place + 1;
  }
  parts.push_back(tokens.subspan(begin));
  return parts;
}

/// Whether the bracket at the beginning closes at the end.
bool is_enclosed(MathTokens tokens) {
  if (tokens.size() < 2 || !opens(tokens.front()) || !closes(tokens.back())) return false;
  int depth = 0;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (opens(tokens[i])) ++depth;
    if (closes(tokens[i]) && --depth == 0) return false;
  }
  return true;
}

std::optional<MathValue> parse(MathTokens tokens);

std::optional<std::vector<MathValue>> parse_all(const std::vector<MathTokens>& parts) {
  std::vector<MathValue> values;
  for (const MathTokens part : parts) {
    auto value = parse(part);
    if (!value) return std::nullopt;
    values.push_back(*std::move(value));
  }
  return values;
}

std::optional<MathValue> parse_parts(Kind kind, const std::vector<MathTokens>& parts,
                                     std::string marks = {}) {
  auto values = parse_all(parts);
  if (!values) return std::nullopt;
  MathValue value;
  value.kind = kind;
  value.marks = std::move(marks);
  value.parts = *std::move(values);
  return value;
}

bool is_comma(const MathToken& token) { return token.is(",") || token.is(";"); }

std::optional<MathValue> parse_quantity(MathTokens tokens) {
  MathValue value;
  if (!tokens.empty() && tokens.back().is("%")) {
    value.is_percent = true;
    tokens = tokens.first(tokens.size() - 1);
  }
  const MathUnit unit = find_unit(tokens);
  value.is_percent = value.is_percent || unit.name == "percent";
  if (unit.name != "percent") value.unit = unit.name;
  const auto points = evaluate_expression(tokens.first(unit.begin));
  if (!points) return std::nullopt;
  value.points = *points;
  return value;
}

/// a ± b: both of them.
std::optional<MathValue> parse_plus_minus(MathTokens tokens) {
  MathValue value;
  value.kind = Kind::kList;
  for (const char* sign : {"+", "-"}) {
    std::vector<MathToken> variant(tokens.begin(), tokens.end());
    for (MathToken& token : variant)
      if (token.is_command("pm")) token = {MathToken::Kind::kSymbol, sign};
    auto part = parse(variant);
    if (!part) return std::nullopt;
    value.parts.push_back(*std::move(part));
  }
  return value;
}

/// "x = 5" is 5, "5 = x", too; "2x + 3y = 6" is an equation.
std::optional<MathValue> parse_equation(const std::vector<MathTokens>& sides) {
  const auto named = [](const std::optional<std::string>& name, MathTokens tokens) {
    auto value = parse(tokens);
    if (value && value->variable.empty()) value->variable = *name;
    return value;
  };
  if (const auto name = variable_name(sides.front())) return named(name, sides.back());
  if (const auto name = variable_name(sides.back())) return named(name, sides.front());
  if (sides.size() != 2) return std::nullopt;
  const auto left = evaluate_expression(sides[0]), right = evaluate_expression(sides[1]);
  if (!left || !right) return std::nullopt;
  MathValue value;
  value.kind = Kind::kEquation;
  for (size_t i = 0; i < left->size(); ++i) value.points[i] = (*left)[i] - (*right)[i];
  return value;
}

/// From the smaller to the greater; absent for "a < b > c".
std::optional<MathValue> parse_inequality(MathTokens tokens, const std::vector<size_t>& at) {
  std::vector<MathTokens> parts = split_at(tokens, at);
  std::vector<std::string> marks;
  bool is_rising = false, is_falling = false;
  for (const size_t place : at) {
    const std::string& sign = tokens[place].text;
    (sign[0] == '<' ? is_rising : is_falling) = true;
    marks.push_back(sign.size() == 2 ? "<=" : "<");
  }
  if (is_rising && is_falling) return std::nullopt;
  if (is_falling) {
    std::reverse(parts.begin(), parts.end());
    std::reverse(marks.begin(), marks.end());
  }
  std::string all;
  for (const std::string& mark : marks) (all += mark) += ' ';
  return parse_parts(Kind::kInequality, parts, all);
}

std::optional<MathValue> parse_enclosed(MathTokens tokens) {
  const MathTokens inside = tokens.subspan(1, tokens.size() - 2);
  const auto commas = places(inside, is_comma);
  const bool is_set = tokens.front().is("\\{");
  if (is_set) return parse_parts(Kind::kList, split_at(inside, commas));
  if (commas.empty() || tokens.front().is("{")) return parse(inside);
  return parse_parts(Kind::kBracketed, split_at(inside, commas),
                     tokens.front().text + tokens.back().text);
}

std::optional<MathValue> parse(MathTokens tokens) {
  if (tokens.empty()) return std::nullopt;
  const auto commas = places(tokens, is_comma);
  if (!commas.empty()) return parse_parts(Kind::kList, split_at(tokens, commas));
  const auto equals = places(tokens, [](const MathToken& t) { return t.is("="); });
  const auto compares = places(tokens, [](const MathToken& t) {
    return t.is("<") || t.is(">") || t.is("<=") || t.is(">=");
  });
  if (!equals.empty() && !compares.empty()) return std::nullopt;
  if (!equals.empty()) return parse_equation(split_at(tokens, equals));
  if (!compares.empty()) return parse_inequality(tokens, compares);
  const auto cups = places(tokens, [](const MathToken& t) { return t.is_command("cup"); });
  if (!cups.empty()) return parse_parts(Kind::kUnion, split_at(tokens, cups));
  if (std::any_of(tokens.begin(), tokens.end(),
                  [](const MathToken& t) { return t.is_command("pm"); }))
    return parse_plus_minus(tokens);
  if (is_enclosed(tokens)) return parse_enclosed(tokens);
  return parse_quantity(tokens);
}

bool same_number(double a, double b) {
  if (std::isinf(a) || std::isinf(b)) return a == b;
  const double size = std::max(std::abs(a), std::abs(b));
  return std::abs(a - b) <= std::min(5e-7, 5e-6 * size) + 1e-12 * std::max(1.0, size);
}

bool same_points(const MathPoints& a, const MathPoints& b, double factor = 1) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!same_number(a[i], factor * b[i])) return false;
  return true;
}

bool same_quantity(const MathValue& a, const MathValue& b) {
  if (!a.unit.empty() && !b.unit.empty() && a.unit != b.unit) return false;
  if (same_points(a.points, b.points)) return true;
  if (a.is_percent == b.is_percent) return false;
  return same_points(a.points, b.points, a.is_percent ? 100 : 0.01);
}

/// The same up to a factor that is not zero.
bool same_equation(const MathValue& a, const MathValue& b) {
  if (a.points[0] == 0 || b.points[0] == 0) return false;
  return same_points(a.points, b.points, a.points[0] / b.points[0]);
}

bool same_in_order(const MathValue& a, const MathValue& b) {
  return std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(), same_math);
}

bool same_in_any_order(const MathValue& a, const MathValue& b) {
  return a.parts.size() == b.parts.size() &&
         std::is_permutation(a.parts.begin(), a.parts.end(), b.parts.begin(), same_math);
}

}  // namespace

std::optional<MathValue> parse_math(std::string_view text) {
  if (text.size() > kLongest) return std::nullopt;
  const auto tokens = math_tokens(text);
  if (!tokens) return std::nullopt;
  return parse(*tokens);
}

bool same_math(const MathValue& a, const MathValue& b) {
  if (!a.variable.empty() && !b.variable.empty() && a.variable != b.variable) return false;
  const bool list_and_pair = a.kind == Kind::kList && b.kind == Kind::kBracketed;
  const bool pair_and_list = a.kind == Kind::kBracketed && b.kind == Kind::kList;
  if (list_and_pair || pair_and_list)
    return (list_and_pair ? b : a).marks == "()" && same_in_order(a, b);
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kQuantity:
      return same_quantity(a, b);
    case Kind::kEquation:
      return same_equation(a, b);
    case Kind::kList:
    case Kind::kUnion:
      return same_in_any_order(a, b);
    case Kind::kBracketed:
    case Kind::kInequality:
      return a.marks == b.marks && same_in_order(a, b);
  }
  return false;
}

}  // namespace caprl
