// What Jinja's operators, filters, tests and methods make of values. An undefined value is a JSON
// value of type `discarded`.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace caprl {

/// What a template asks for and does not get; whoever knows the place makes an InputError of it.
struct JinjaProblem {
  std::string reason;
};

/// Jinja's truth: undefined, none, false, 0, and empty strings, lists and mappings are false.
bool is_true(const nlohmann::json& value);

namespace jinja {

using Values = std::vector<nlohmann::json>;

nlohmann::json undefined();
/// Of integers; "+" also of strings and lists. The operators: + - * // %
nlohmann::json arithmetic(std::string_view sign, const nlohmann::json& left,
                          const nlohmann::json& right);
nlohmann::json concatenate(const nlohmann::json& left, const nlohmann::json& right);
bool contains(const nlohmann::json& container, const nlohmann::json& item);
/// <, <=, >, >= of two integers or two strings.
bool compare(std::string_view sign, const nlohmann::json& left, const nlohmann::json& right);
nlohmann::json item(const nlohmann::json& container, const nlohmann::json& key);
/// Of a string's bytes or a list, as Python's [start:stop:step].
nlohmann::json slice(const nlohmann::json& container, std::optional<int64_t> start,
                     std::optional<int64_t> stop, int64_t step);
/// trim, length, count, string, lower, upper, first, last, list, default, tojson,
/// selectattr(name, "equalto", value), rejectattr.
nlohmann::json filter(std::string_view name, const nlohmann::json& value, const Values& arguments);
/// string, defined, undefined, none, true, false, boolean, number, integer, mapping, sequence,
/// iterable.
bool test(std::string_view name, const nlohmann::json& value);
/// Of strings: strip, lstrip, rstrip, startswith, endswith, split, replace, upper, lower; of
/// mappings: get.
nlohmann::json method(std::string_view name, const nlohmann::json& value, const Values& arguments);
/// As a template prints it; undefined is nothing.
std::string print(const nlohmann::json& value);

}  // namespace jinja
}  // namespace caprl
