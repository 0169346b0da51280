#include "text/jinja_expression.h"

#include <algorithm>
#include <array>
#include <optional>

#include "caprl/core/error.h"
#include "text/jinja_tokens.h"

namespace caprl {
namespace {

using jinja::Values;
using nlohmann::json;
using Kind = JinjaToken::Kind;

/// Recursive descent over the tokens, evaluating as it reads. With `live_` false it only reads: the
/// side of an and/or that Jinja leaves out may hold what cannot be evaluated.
class Evaluator {
 public:
  Evaluator(std::string_view source, JinjaScope& scope, const std::string& where)
      : scope_(scope), tokens_(read_jinja_tokens(source, where)) {
    for (const JinjaToken& token : tokens_)
      has_if_ |= token.kind == Kind::kName && token.text == "if";
  }

  json run() {
    json value = read_expression();
    if (peek().kind != Kind::kEnd) fail("\"" + peek().text + "\" is not supported");
    return value;
  }

 private:
  static constexpr int kMaxDepth = 200;

  struct DepthGuard {
    explicit DepthGuard(Evaluator& evaluator) : depth(evaluator.depth_) {
      if (++depth > kMaxDepth) fail("nesting is too deep");
    }
    ~DepthGuard() { --depth; }
    int& depth;
  };

  [[noreturn]] static void fail(std::string reason) { throw JinjaProblem{std::move(reason)}; }

  const JinjaToken& peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool is_next(Kind kind, std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind == kind && peek(ahead).text == text;
  }
  bool accept(Kind kind, std::string_view text) {
    if (!is_next(kind, text)) return false;
    ++at_;
    return true;
  }
  bool accept_word(std::string_view text) { return accept(Kind::kName, text); }
  bool accept_sign(std::string_view text) { return accept(Kind::kSign, text); }
  void expect_sign(std::string_view text) {
    if (!accept_sign(text)) fail("expected \"" + std::string(text) + "\"");
  }
  std::string expect_name(const char* after) {
    if (peek().kind != Kind::kName) fail(std::string("expected a name after ") + after);
    return tokens_[at_++].text;
  }
  /// The sign that stands next, if it is one of these.
  std::optional<std::string> accept_one_of(std::initializer_list<const char*> signs) {
    for (const char* sign : signs)
      if (accept_sign(sign)) return sign;
    return std::nullopt;
  }
  /// `compute()` where values count, else nothing.
  template <class Compute>
  json when_live(Compute compute) const {
    return live_ ? json(compute()) : json();
  }
  json read_with(bool live, json (Evaluator::*read)()) {
    const bool was_live = live_;
    live_ = live_ && live;
    json value = (this->*read)();
    live_ = was_live;
    return value;
  }

  /// A value before an `if` is read twice: whether it counts shows only behind it.
  json read_expression() {
    const DepthGuard guard(*this);
    const size_t start = at_;
    json value = read_with(!has_if_, &Evaluator::read_or);
    if (!has_if_) return value;
    if (!is_next(Kind::kName, "if")) {
      at_ = start;
      return read_or();
    }
    ++at_;
    const bool is_taken = is_true(read_or());
    const size_t behind = at_;
    at_ = start;
    value = read_with(is_taken, &Evaluator::read_or);
    at_ = behind;
    if (!accept_word("else")) return is_taken ? value : jinja::undefined();
    json other = read_with(!is_taken, &Evaluator::read_expression);
    return is_taken ? value : other;
  }

  json read_or() {
    json value = read_and();
    while (accept_word("or")) value = read_other_side(value, !is_true(value), &Evaluator::read_and);
    return value;
  }
  json read_and() {
    json value = read_not();
    while (accept_word("and")) value = read_other_side(value, is_true(value), &Evaluator::read_not);
    return value;
  }
  json read_other_side(const json& value, bool is_wanted, json (Evaluator::*read)()) {
    json other = read_with(is_wanted, read);
    return live_ && is_wanted ? other : value;
  }
  json read_not() {
    const DepthGuard guard(*this);
    if (!accept_word("not")) return read_comparison();
    return !is_true(read_not());
  }

  json read_comparison() {
    json value = read_sum();
    while (true) {
      if (accept_sign("==")) {
        value = json(value == read_sum());
      } else if (accept_sign("!=")) {
        value = json(!(value == read_sum()));
      } else if (const auto sign = accept_one_of({"<=", ">=", "<", ">"})) {
        const json other = read_sum();
        value = when_live([&] { return jinja::compare(*sign, value, other); });
      } else if (accept_word("in")) {
        const json container = read_sum();
        value = when_live([&] { return jinja::contains(container, value); });
      } else if (is_next(Kind::kName, "not") && is_next(Kind::kName, "in", 1)) {
        at_ += 2;
        const json container = read_sum();
        value = when_live([&] { return !jinja::contains(container, value); });
      } else {
        return value;
      }
    }
  }

  json read_sum() {
    json value = read_product();
    while (const auto sign = accept_one_of({"+", "-", "~"})) {
      const json other = read_product();
      value = when_live([&] {
        return *sign == "~" ? jinja::concatenate(value, other)
                            : jinja::arithmetic(*sign, value, other);
      });
    }
    return value;
  }
  json read_product() {
    json value = read_unary();
    while (const auto sign = accept_one_of({"*", "//", "%"})) {
      const json other = read_unary();
      value = when_live([&] { return jinja::arithmetic(*sign, value, other); });
    }
    return value;
  }
  json read_unary() {
    const DepthGuard guard(*this);
    if (!accept_sign("-")) return read_filtered();
    const json value = read_unary();
    return when_live([&] { return jinja::arithmetic("-", 0, value); });
  }

  json read_filtered() {
    json value = read_postfix();
    while (true) {
      if (accept_sign("|")) {
        const std::string name = expect_name("\"|\"");
        const Values arguments = is_next(Kind::kSign, "(") ? read_arguments() : Values();
        value = when_live([&] { return jinja::filter(name, value, arguments); });
      } else if (accept_word("is")) {
        const bool is_negated = accept_word("not");
        const std::string name = expect_name("\"is\"");
        value = when_live([&] { return jinja::test(name, value) != is_negated; });
      } else {
        return value;
      }
    }
  }

  json read_postfix() {
    json value = read_primary();
    while (true) {
      if (accept_sign(".")) {
        const std::string name = expect_name("\".\"");
        if (is_next(Kind::kSign, "(")) {
          const Values arguments = read_arguments();
          value = when_live([&] { return jinja::method(name, value, arguments); });
        } else {
          value = when_live([&] { return jinja::item(value, name); });
        }
      } else if (accept_sign("[")) {
        value = read_subscript(value);
      } else {
        return value;
      }
    }
  }

  /// After the "[".
  json read_subscript(const json& value) {
    std::array<std::optional<int64_t>, 3> bounds;
    size_t part = 0;
    json key;
    while (!accept_sign("]")) {
      if (accept_sign(":")) {
        if (++part > 2) fail("a slice has three parts at most");
        continue;
      }
      key = read_expression();
      if (key.is_number_integer()) bounds[part] = key.get<int64_t>();
    }
    return when_live([&] {
      return part == 0 ? jinja::item(value, key)
                       : jinja::slice(value, bounds[0], bounds[1], bounds[2].value_or(1));
    });
  }

  Values read_list(std::string_view closing) {
    Values values;
    while (!accept_sign(closing)) {
      values.push_back(read_expression());
      if (!is_next(Kind::kSign, closing)) expect_sign(",");
    }
    return values;
  }
  Values read_arguments() {
    expect_sign("(");
    return read_list(")");
  }

  json read_primary() {
    const JinjaToken token = peek();
    ++at_;
    switch (token.kind) {
      case Kind::kString:
        return token.text;
      case Kind::kNumber:
        if (token.text.size() > 9 ||
            token.text.find_first_not_of("0123456789") != std::string::npos)
          fail("number \"" + token.text + "\" is not supported");
        return std::stoll(token.text);
      case Kind::kName:
        return read_named(token.text);
      case Kind::kSign:
        if (token.text == "[") return json(read_list("]"));
        if (token.text == "(") {
          json value = read_expression();
          expect_sign(")");
          return value;
        }
        break;
      case Kind::kEnd:
        break;
    }
    fail("expected a value, got \"" + token.text + "\"");
  }

  json read_named(const std::string& name) {
    if (name == "true" || name == "True") return true;
    if (name == "false" || name == "False") return false;
    if (name == "none" || name == "None") return nullptr;
    if (is_next(Kind::kSign, "(")) return read_call(name);
    const json* variable = scope_.find(name);
    return variable == nullptr ? jinja::undefined() : *variable;
  }

  json read_call(const std::string& function) {
    if (function == "namespace") return read_namespace();
    const Values arguments = read_arguments();
    if (!live_) return nullptr;
    if (function == "raise_exception" && arguments.size() == 1)
      fail("the template refuses this conversation: " + jinja::print(arguments[0]));
    fail("function \"" + function + "\" is not supported");
  }

  json read_namespace() {
    json members = json::object();
    expect_sign("(");
    while (!accept_sign(")")) {
      const std::string name = expect_name("\"(\"");
      expect_sign("=");
      members[name] = read_expression();
      if (!is_next(Kind::kSign, ")")) expect_sign(",");
    }
    return members;
  }

  JinjaScope& scope_;
  std::vector<JinjaToken> tokens_;
  bool has_if_ = false;
  size_t at_ = 0;
  bool live_ = true;
  int depth_ = 0;
};

}  // namespace

json* JinjaScope::find(const std::string& name) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const auto found = scope->find(name); found != scope->end()) return &*found;
  }
  return nullptr;
}

json evaluate_jinja(std::string_view expression, JinjaScope& scope, const std::string& where) {
  try {
    return Evaluator(expression, scope, where).run();
  } catch (const JinjaProblem& problem) {
    throw InputError("{}: {} in \"{}\"", where, problem.reason, expression);
  }
}

}  // namespace caprl
