// The expressions that chat templates of the ChatML family are made of.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

/// Variables by name; inner scopes hide outer ones. An undefined variable is a JSON value of type
/// `discarded`.
class JinjaScope {
 public:
  explicit JinjaScope(nlohmann::json variables) : scopes_{std::move(variables)} {}

  void open() { scopes_.push_back(nlohmann::json::object()); }
  void close() { scopes_.pop_back(); }
  void set(const std::string& name, nlohmann::json value) {
    scopes_.back()[name] = std::move(value);
  }
  /// Null if the name is undefined.
  nlohmann::json* find(const std::string& name);

 private:
  std::vector<nlohmann::json> scopes_;
};

/// Literals, names, attributes and items, ==, !=, +, ~, and, or, not, in, `is [not]
/// string|defined|none`, namespace(…). InputError "WHERE: …" for anything else, and for operations
/// that Jinja refuses.
nlohmann::json evaluate_jinja(std::string_view expression, JinjaScope& scope,
                              const std::string& where);

/// Jinja's truth: undefined, none, false, 0, and empty strings, lists and mappings are false.
bool is_true(const nlohmann::json& value);

}  // namespace caprl
