#include "tasks/scorers/math_expression.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>

namespace caprl {
namespace {

using Kind = MathToken::Kind;

constexpr std::array<std::string_view, 23> kGreek = {
    "alpha", "beta",  "gamma",  "delta", "epsilon", "zeta",  "eta",   "theta",
    "iota",  "kappa", "lambda", "mu",    "nu",      "xi",    "rho",   "sigma",
    "tau",   "phi",   "chi",    "psi",   "omega",   "Delta", "varphi"};

bool is_greek(const MathToken& token) {
  return token.kind == Kind::kCommand &&
         std::find(kGreek.begin(), kGreek.end(), token.text) != kGreek.end();
}

MathPoints constant(double value) { return {value, value, value}; }

/// Values between 0.5 and 2.5 that depend on the name.
MathPoints variable(std::string_view name) {
  MathPoints values{};
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  for (double& value : values) {
    hash = (hash ^ (hash >> 29)) * 0xbf58476d1ce4e5b9;
    value = 0.5 + 2.0 * static_cast<double>(hash >> 11) * 0x1p-53;
  }
  return values;
}

template <class F>
MathPoints map(const MathPoints& a, F f) {
  return {f(a[0]), f(a[1]), f(a[2])};
}
template <class F>
MathPoints map(const MathPoints& a, const MathPoints& b, F f) {
  return {f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2])};
}

/// Recursive descent; every method leaves `at_` after what it has read. `failed_` makes the result
/// absent.
class Parser {
 public:
  explicit Parser(MathTokens tokens) : tokens_(tokens) {
    has_math_ = std::any_of(tokens.begin(), tokens.end(), [](const MathToken& token) {
      return token.kind != Kind::kWord && token.kind != Kind::kLetter;
    });
  }

  std::optional<MathPoints> run() {
    const MathPoints value = sum();
    const bool finite =
        std::all_of(value.begin(), value.end(), [](double v) { return !std::isnan(v); });
    if (failed_ || !at_end() || !finite) return std::nullopt;
    return value;
  }

 private:
  bool at_end() const { return at_ >= tokens_.size(); }
  bool next_is(std::string_view symbol) const { return !at_end() && tokens_[at_].is(symbol); }
  bool take(std::string_view symbol) {
    if (!next_is(symbol)) return false;
    ++at_;
    return true;
  }
  MathPoints fail() {
    failed_ = true;
    return constant(0);
  }

  MathPoints sum() {
    MathPoints total = term();
    while (!failed_) {
      if (take("+"))
        total = map(total, term(), [](double a, double b) { return a + b; });
      else if (take("-"))
        total = map(total, term(), [](double a, double b) { return a - b; });
      else
        break;
    }
    return total;
  }

  bool factor_follows() const {
    if (at_end()) return false;
    const MathToken& token = tokens_[at_];
    if (token.kind != Kind::kSymbol) return true;
    return token.is("(") || token.is("{") || (token.is("|") && bars_ == 0);
  }

  MathPoints term() {
    if (take("-")) return map(term(), [](double a) { return -a; });
    if (take("+")) return term();
    MathPoints product = power();
    while (!failed_) {
      if (take("*"))
        product = map(product, signed_power(), [](double a, double b) { return a * b; });
      else if (take("/") || take(":"))
        product = map(product, signed_power(), [](double a, double b) { return a / b; });
      else if (factor_follows())
        product = map(product, power(), [](double a, double b) { return a * b; });
      else
        break;
    }
    return product;
  }

  MathPoints signed_power() {
    if (take("-")) return map(signed_power(), [](double a) { return -a; });
    return power();
  }

  MathPoints power() {
    MathPoints base = primary();
    while (take("!")) base = map(base, [](double a) { return std::tgamma(a + 1); });
    if (degrees_follow() || !take("^")) return base;
    return map(base, exponent(), [](double a, double b) { return std::pow(a, b); });
  }

  MathPoints exponent() {
    if (take("-")) return map(exponent(), [](double a) { return -a; });
    return power();
  }

  MathPoints primary() {
    if (at_end() || ++depth_ > 200) return fail();
    const MathToken& token = tokens_[at_++];
    const MathPoints value = primary(token);
    --depth_;
    return value;
  }

  MathPoints primary(const MathToken& token) {
    if (token.kind == Kind::kNumber) return number(token);
    if (token.kind == Kind::kCommand) return command(token);
    if (token.kind == Kind::kLetter) return letter(token.text);
    if (token.kind == Kind::kWord) return word(token);
    if (token.is("(")) return closed(sum(), ")");
    if (token.is("[")) return closed(sum(), "]");
    if (token.is("{")) return closed(sum(), "}");
    if (!token.is("|")) return fail();
    ++bars_;
    const MathPoints value = map(closed(sum(), "|"), [](double a) { return std::abs(a); });
    --bars_;
    return value;
  }

  MathPoints closed(const MathPoints& value, std::string_view symbol) {
    return take(symbol) ? value : fail();
  }

  /// The whole number at `place`, if there is one.
  std::optional<double> whole(size_t place) const {
    if (place >= tokens_.size() || tokens_[place].kind != Kind::kNumber) return std::nullopt;
    const std::string& text = tokens_[place].text;
    if (text.find('.') != std::string::npos) return std::nullopt;
    return std::strtod(text.c_str(), nullptr);
  }

  /// Three and a half: "3\frac{1}{2}", "3 1/2".
  MathPoints number(const MathToken& token) {
    const double value = std::strtod(token.text.c_str(), nullptr);
    if (!whole(at_ - 1)) return constant(value);
    const auto plus = [&](std::optional<double> up, std::optional<double> down, size_t length) {
      if (!up || !down || *up >= *down) return constant(value);
      at_ += length;
      return constant(value + *up / *down);
    };
    const auto symbol = [&](size_t offset, std::string_view text) {
      return at_ + offset < tokens_.size() && tokens_[at_ + offset].is(text);
    };
    if (!at_end() && tokens_[at_].is_command("frac")) {
      if (symbol(1, "{") && symbol(3, "}") && symbol(4, "{") && symbol(6, "}"))
        return plus(whole(at_ + 2), whole(at_ + 5), 7);
      return plus(whole(at_ + 1), whole(at_ + 2), 3);
    }
    if (symbol(1, "/") && tokens_[at_].is_spaced) return plus(whole(at_), whole(at_ + 2), 3);
    return constant(value);
  }

  /// The index after a variable, part of its name: "_1", "_{12}".
  std::string index() {
    if (!take("_")) return {};
    std::string name = "_";
    const bool is_braced = take("{");
    do {
      if (at_end()) return fail(), name;
      name += tokens_[at_++].text;
    } while (is_braced && !take("}"));
    return name;
  }

  MathPoints letter(const std::string& name) {
    const std::string full = name + index();
    return full == "e" ? constant(std::numbers::e) : variable(full);
  }

  /// A product of variables, in a formula; a word is none.
  MathPoints word(const MathToken& token) {
    if (token.is_text || token.text.size() > 3 || !has_math_) return fail();
    MathPoints product = constant(1);
    for (const char c : token.text)
      product = map(product, variable(std::string(1, c)), [](double a, double b) { return a * b; });
    return product;
  }

  MathPoints argument() {
    if (take("{")) return closed(sum(), "}");
    return power();
  }

  MathPoints command(const MathToken& token) {
    const std::string& name = token.text;
    if (name == "pi") return constant(std::numbers::pi);
    if (name == "infty") return constant(std::numeric_limits<double>::infinity());
    if (is_greek(token)) return variable("\\" + name + index());
    if (name == "frac") {
      const MathPoints up = argument(), down = argument();
      return map(up, down, [](double a, double b) { return a / b; });
    }
    if (name == "sqrt") {
      const MathPoints root = take("[") ? closed(sum(), "]") : constant(2);
      return map(argument(), root, [](double a, double b) {
        return b == 3 ? std::cbrt(a) : b == 2 ? std::sqrt(a) : std::pow(a, 1 / b);
      });
    }
    if (name == "log" || name == "ln" || name == "exp") return logarithm(name);
    return trigonometric(name);
  }

  MathPoints logarithm(const std::string& name) {
    const bool has_base = take("_");
    const MathPoints base = has_base ? argument() : constant(name == "log" ? 10 : std::numbers::e);
    const MathPoints value = argument();
    if (name == "exp") return map(value, [](double a) { return std::exp(a); });
    return map(value, base, [](double a, double b) { return std::log(a) / std::log(b); });
  }

  MathPoints trigonometric(const std::string& name) {
    using Function = double (*)(double);
    static constexpr std::array<std::pair<std::string_view, Function>, 6> kFunctions = {{
        {"sin", [](double a) { return std::sin(a); }},
        {"cos", [](double a) { return std::cos(a); }},
        {"tan", [](double a) { return std::tan(a); }},
        {"cot", [](double a) { return 1 / std::tan(a); }},
        {"sec", [](double a) { return 1 / std::cos(a); }},
        {"csc", [](double a) { return 1 / std::sin(a); }},
    }};
    for (const auto& [known, function] : kFunctions) {
      if (known != name) continue;
      const MathPoints power = take("^") ? argument() : constant(1);
      MathPoints angle = argument();
      if (degrees()) angle = map(angle, [](double a) { return a * std::numbers::pi / 180; });
      return map(map(angle, function), power, [](double a, double b) { return std::pow(a, b); });
    }
    return fail();
  }

  bool degrees_follow() {
    const size_t before = at_;
    const bool follow = degrees();
    at_ = before;
    return follow;
  }

  bool degrees() {
    const size_t before = at_;
    const bool raised = take("^");
    const bool is_braced = raised && take("{");
    if (!at_end() && (tokens_[at_].is_command("circ") || tokens_[at_].is_command("degree"))) {
      ++at_;
      if (!is_braced || take("}")) return true;
    }
    at_ = before;
    return false;
  }

  MathTokens tokens_;
  bool has_math_ = false;
  size_t at_ = 0;
  int depth_ = 0, bars_ = 0;
  bool failed_ = false;
};

}  // namespace

std::optional<MathPoints> evaluate_expression(MathTokens tokens) {
  if (tokens.empty()) return std::nullopt;
  return Parser(tokens).run();
}

std::optional<std::string> variable_name(MathTokens tokens) {
  if (tokens.empty()) return std::nullopt;
  if (tokens[0].kind != Kind::kLetter && !is_greek(tokens[0])) return std::nullopt;
  std::string name = tokens[0].text;
  const bool is_indexed = tokens.size() > 1 && tokens[1].is("_");
  const bool is_function = tokens.size() == 4 && tokens[1].is("(") && tokens[3].is(")") &&
                           tokens[2].kind == Kind::kLetter;
  if (tokens.size() > 1 && !is_indexed && !is_function) return std::nullopt;
  if (is_indexed && tokens.size() > 3 && !(tokens[2].is("{") && tokens.back().is("}")))
    return std::nullopt;
  for (const MathToken& token : tokens.subspan(1))
    if (!token.is("{") && !token.is("}")) name += token.text;
  return name;
}

}  // namespace caprl
