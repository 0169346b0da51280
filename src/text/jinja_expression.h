// The expressions that chat templates are made of.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_values.h"

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

/// Literals, names, attributes, items and slices, lists, comparisons, `in`, + - * // % ~, and, or,
/// not, `x if y else z`, the filters, tests and methods of jinja_values.h, namespace(…) and
/// raise_exception(…). InputError "WHERE: …" for anything else, for operations that Jinja refuses
/// and for exceptions that the template raises.
nlohmann::json evaluate_jinja(std::string_view expression, JinjaScope& scope,
                              const std::string& where);

}  // namespace caprl
