#include "text/jinja_expression.h"

#include <algorithm>

#include "caprl/core/error.h"
#include "text/jinja_tokens.h"

namespace caprl {
namespace {

using nlohmann::json;

const json kUndefined(json::value_t::discarded);

/// Recursive descent over the tokens, evaluating as it reads. With `live_` false it only reads: the
/// side of an and/or that Jinja leaves out may hold what cannot be evaluated.
class Evaluator {
 public:
  Evaluator(std::string_view source, JinjaScope& scope, const std::string& where)
      : source_(source), scope_(scope), where_(where), tokens_(read_jinja_tokens(source, where)) {}

  json run() {
    json value = read_or();
    if (peek().kind != JinjaToken::Kind::kEnd) fail("\"" + peek().text + "\" is not supported");
    return value;
  }

 private:
  static constexpr int kMaxDepth = 200;

  struct DepthGuard {
    explicit DepthGuard(Evaluator& evaluator) : depth(evaluator.depth_) {
      if (++depth > kMaxDepth) evaluator.fail("nesting is too deep");
    }
    ~DepthGuard() { --depth; }
    int& depth;
  };

  const JinjaToken& peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool is_next(JinjaToken::Kind kind, std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind == kind && peek(ahead).text == text;
  }
  bool accept(JinjaToken::Kind kind, std::string_view text) {
    if (!is_next(kind, text)) return false;
    ++at_;
    return true;
  }
  bool accept_word(std::string_view text) { return accept(JinjaToken::Kind::kName, text); }
  bool accept_sign(std::string_view text) { return accept(JinjaToken::Kind::kSign, text); }
  void expect_sign(std::string_view text) {
    if (!accept_sign(text)) fail("expected \"" + std::string(text) + "\"");
  }
  [[noreturn]] void fail(const std::string& reason) const {
    throw InputError("{}: {} in \"{}\"", where_, reason, source_);
  }

  json read_or() {
    const DepthGuard guard(*this);
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
    const bool was_live = live_;
    live_ = live_ && is_wanted;
    json other = (this->*read)();
    const bool take = live_;
    live_ = was_live;
    return take ? other : value;
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
      } else if (accept_word("in")) {
        value = contains(read_sum(), value);
      } else if (is_next(JinjaToken::Kind::kName, "not") &&
                 is_next(JinjaToken::Kind::kName, "in", 1)) {
        at_ += 2;
        value = !contains(read_sum(), value);
      } else if (accept_word("is")) {
        const bool is_negated = accept_word("not");
        value = read_test(value) != is_negated;
      } else {
        return value;
      }
    }
  }

  bool read_test(const json& value) {
    if (accept_word("string")) return value.is_string();
    if (accept_word("defined")) return !value.is_discarded();
    if (accept_word("none")) return value.is_null();
    fail("test \"" + peek().text + "\" is not supported");
  }

  bool contains(const json& container, const json& item) const {
    if (!live_) return false;
    if (container.is_string() && item.is_string())
      return container.get_ref<const std::string&>().find(item.get_ref<const std::string&>()) !=
             std::string::npos;
    if (container.is_object() && item.is_string())
      return container.contains(item.get_ref<const std::string&>());
    if (container.is_array())
      return std::find(container.begin(), container.end(), item) != container.end();
    fail("\"in\" needs a string, list or mapping");
  }

  json read_sum() {
    json value = read_postfix();
    while (true) {
      if (accept_sign("+"))
        value = add(value, read_postfix());
      else if (accept_sign("~"))
        value = concatenate(value, read_postfix());
      else
        return value;
    }
  }

  json add(const json& left, const json& right) const {
    if (!live_) return nullptr;
    if (left.is_string() && right.is_string()) return concatenate(left, right);
    if (left.is_number_integer() && right.is_number_integer())
      return left.get<int64_t>() + right.get<int64_t>();
    fail("\"+\" needs two strings or two integers");
  }
  json concatenate(const json& left, const json& right) const {
    if (!live_) return nullptr;
    if (!left.is_string() || !right.is_string()) fail("\"~\" is supported for strings only");
    return left.get<std::string>() + right.get<std::string>();
  }

  json read_postfix() {
    json value = read_primary();
    while (true) {
      if (accept_sign(".")) {
        if (peek().kind != JinjaToken::Kind::kName) fail("expected a name after \".\"");
        value = item(value, peek().text);
        ++at_;
      } else if (accept_sign("[")) {
        const json key = read_or();
        expect_sign("]");
        value = item(value, key);
      } else {
        return value;
      }
    }
  }

  json item(const json& container, const json& key) const {
    if (!live_) return nullptr;
    if (container.is_discarded()) fail("an attribute of an undefined value");
    if (container.is_object() && key.is_string()) {
      const auto found = container.find(key.get_ref<const std::string&>());
      return found == container.end() ? kUndefined : *found;
    }
    if (container.is_array() && key.is_number_integer()) {
      const auto index = key.get<int64_t>();
      const auto size = static_cast<int64_t>(container.size());
      return index >= 0 && index < size ? container[static_cast<size_t>(index)] : kUndefined;
    }
    return kUndefined;
  }

  json read_primary() {
    const JinjaToken token = peek();
    ++at_;
    switch (token.kind) {
      case JinjaToken::Kind::kString:
        return token.text;
      case JinjaToken::Kind::kNumber:
        if (token.text.size() > 9 ||
            token.text.find_first_not_of("0123456789") != std::string::npos)
          fail("number \"" + token.text + "\" is not supported");
        return std::stoll(token.text);
      case JinjaToken::Kind::kName:
        return read_named(token.text);
      case JinjaToken::Kind::kSign:
        if (token.text == "(") {
          json value = read_or();
          expect_sign(")");
          return value;
        }
        break;
      case JinjaToken::Kind::kEnd:
        break;
    }
    fail("expected a value, got \"" + token.text + "\"");
  }

  json read_named(const std::string& name) {
    if (name == "true" || name == "True") return true;
    if (name == "false" || name == "False") return false;
    if (name == "none" || name == "None") return nullptr;
    if (name == "namespace" && is_next(JinjaToken::Kind::kSign, "(")) return read_namespace();
    const json* variable = scope_.find(name);
    return variable == nullptr ? kUndefined : *variable;
  }

  json read_namespace() {
    json members = json::object();
    expect_sign("(");
    while (!accept_sign(")")) {
      const std::string name = peek().text;
      if (peek().kind != JinjaToken::Kind::kName) fail("expected name=value in namespace()");
      ++at_;
      expect_sign("=");
      members[name] = read_or();
      if (!is_next(JinjaToken::Kind::kSign, ")")) expect_sign(",");
    }
    return members;
  }

  std::string_view source_;
  JinjaScope& scope_;
  const std::string& where_;
  std::vector<JinjaToken> tokens_;
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
  return Evaluator(expression, scope, where).run();
}

bool is_true(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.is_discarded() && !value.empty();  // null is empty
}

}  // namespace caprl
