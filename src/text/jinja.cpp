#include "text/jinja.h"

#include "caprl/core/error.h"
#include "text/jinja_expression.h"
#include "text/jinja_lexer.h"

namespace caprl {
namespace {

using nlohmann::json;

std::string_view first_word(std::string_view statement) {
  return statement.substr(0, statement.find_first_of(" \t\r\n("));
}

/// What follows the statement's first word.
std::string_view arguments(std::string_view statement) {
  return statement.substr(first_word(statement).size());
}

/// Walks the pieces; `live` is false in parts that are only passed over.
class Renderer {
 public:
  Renderer(std::vector<JinjaPiece> pieces, const json& variables, const std::string& where)
      : pieces_(std::move(pieces)), scope_(variables), where_(where) {}

  std::string run() {
    block(true);
    if (at_ < pieces_.size())
      throw InputError("{}: \"{}\" without a beginning", where_, pieces_[at_].content);
    return std::move(output_);
  }

 private:
  static constexpr int kMaxDepth = 100;

  /// Until the statement that ends or divides the surrounding block, which is left to the caller.
  void block(bool live) {
    if (++depth_ > kMaxDepth) throw InputError("{}: blocks are nested too deep", where_);
    for (; at_ < pieces_.size(); ++at_) {
      const JinjaPiece& piece = pieces_[at_];
      if (piece.kind == JinjaPiece::Kind::kText) {
        if (live) output_ += piece.content;
      } else if (piece.kind == JinjaPiece::Kind::kExpression) {
        if (live) print(piece.content);
      } else if (!statement(piece.content, live)) {
        break;
      }
    }
    --depth_;
  }

  bool statement(const std::string& content, bool live) {
    const std::string_view word = first_word(content);
    if (word == "elif" || word == "else" || word == "endif" || word == "endfor") return false;
    if (word == "generation" || word == "endgeneration") return true;  // marks what is trained on
    if (word == "if") {
      if_statement(live);
    } else if (word == "for") {
      for_statement(live);
    } else if (word == "set" && content.find('=') != std::string::npos) {
      if (live) set_statement(arguments(content));
    } else if (live || word.starts_with("end") || word == "macro" || word == "set") {
      throw InputError("{}: statement \"{}\" is not supported", where_, content);
    }
    return true;
  }

  void print(const std::string& expression) {
    const json value = evaluate_jinja(expression, scope_, where_);
    try {
      output_ += jinja::print(value);
    } catch (const JinjaProblem& problem) {
      throw InputError("{}: {}: \"{}\"", where_, problem.reason, expression);
    }
  }

  const std::string& current(std::string_view opener) const {
    if (at_ >= pieces_.size()) throw InputError("{}: \"{}\" has no end", where_, opener);
    return pieces_[at_].content;
  }

  void if_statement(bool live) {
    bool is_decided = !live;
    std::string branch = pieces_[at_].content;
    while (first_word(branch) != "endif") {
      const std::string_view word = first_word(branch);
      if (word == "endfor") throw InputError("{}: \"endfor\" inside an if", where_);
      const bool is_taken =
          !is_decided &&
          (word == "else" || is_true(evaluate_jinja(arguments(branch), scope_, where_)));
      is_decided |= is_taken;
      ++at_;
      block(is_taken);
      branch = current("if");
    }
  }

  void for_statement(bool live) {
    const std::string header = pieces_[at_].content;
    const size_t body = at_ + 1;
    json items = json::array();
    std::string name;
    if (live) {
      const std::string_view rest = arguments(header);
      const size_t in = rest.find(" in ");
      if (in == std::string_view::npos)
        throw InputError("{}: \"{}\" is not supported", where_, header);
      name = rest.substr(0, in);
      std::erase(name, ' ');
      const std::string_view list = rest.substr(in + 4);
      const size_t condition = list.find(" if ");
      items = evaluate_jinja(list.substr(0, condition), scope_, where_);
      if (!items.is_array() || name.find(',') != std::string::npos)
        throw InputError("{}: \"{}\" is not supported: it needs one name and a list", where_,
                         header);
      if (condition != std::string_view::npos)
        items = select(items, name, list.substr(condition + 4));
    }
    for (size_t i = 0; i < items.size(); ++i) {
      scope_.open();
      scope_.set(name, items[i]);
      scope_.set("loop", {{"first", i == 0},
                          {"last", i + 1 == items.size()},
                          {"index0", i},
                          {"index", i + 1},
                          {"length", items.size()}});
      at_ = body;
      block(true);
      scope_.close();
    }
    at_ = body;
    block(false);
    if (first_word(current("for")) == "else") {
      ++at_;
      block(live && items.empty());
    }
    if (first_word(current("for")) != "endfor")
      throw InputError("{}: \"{}\" inside a for", where_, current("for"));
  }

  json select(const json& items, const std::string& name, std::string_view condition) {
    json selected = json::array();
    for (const json& item : items) {
      scope_.open();
      scope_.set(name, item);
      if (is_true(evaluate_jinja(condition, scope_, where_))) selected.push_back(item);
      scope_.close();
    }
    return selected;
  }

  void set_statement(std::string_view assignment) {
    const size_t equals = assignment.find('=');
    std::string target(assignment.substr(0, equals));
    std::erase(target, ' ');
    json value = evaluate_jinja(assignment.substr(equals + 1), scope_, where_);
    const size_t dot = target.find('.');
    if (dot == std::string::npos) {
      scope_.set(target, std::move(value));
      return;
    }
    json* owner = scope_.find(target.substr(0, dot));
    if (owner == nullptr || !owner->is_object())
      throw InputError("{}: cannot set \"{}\"", where_, target);
    (*owner)[target.substr(dot + 1)] = std::move(value);
  }

  std::vector<JinjaPiece> pieces_;
  JinjaScope scope_;
  const std::string& where_;
  std::string output_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::string render_jinja(std::string_view source, const json& variables, const std::string& where) {
  return Renderer(lex_jinja(source, where), variables, where).run();
}

}  // namespace caprl
