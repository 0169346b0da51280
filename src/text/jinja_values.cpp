#include "text/jinja_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "text/unicode_text.h"

namespace caprl {

using nlohmann::json;

bool is_true(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.is_discarded() && !value.empty();  // null is empty
}

namespace jinja {
namespace {

[[noreturn]] void fail(std::string reason) { throw JinjaProblem{std::move(reason)}; }

const std::string& text_of(const json& value, std::string_view what) {
  if (!value.is_string()) fail(fmt::format("\"{}\" needs a string", what));
  return value.get_ref<const std::string&>();
}

std::string strip_characters(std::string_view text, std::string_view characters, bool left,
                             bool right) {
  if (left) text.remove_prefix(std::min(text.find_first_not_of(characters), text.size()));
  if (right) text = text.substr(0, text.find_last_not_of(characters) + 1);  // npos + 1 is 0
  return std::string(text);
}

std::string map_ascii(std::string text, int (*convert)(int)) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x80) c = static_cast<char>(convert(c));
  return text;
}

json split(const std::string& text, const Values& arguments) {
  if (arguments.size() != 1 || text_of(arguments[0], "split").empty())
    fail("\"split\" is supported with one separator only");
  const auto& separator = arguments[0].get_ref<const std::string&>();
  json parts = json::array();
  size_t start = 0;
  for (size_t at; (at = text.find(separator, start)) != std::string::npos;) {
    parts.push_back(text.substr(start, at - start));
    start = at + separator.size();
  }
  parts.push_back(text.substr(start));
  return parts;
}

json replace(std::string text, const Values& arguments) {
  if (arguments.size() != 2 || text_of(arguments[0], "replace").empty())
    fail("\"replace\" needs two strings");
  const auto& old = arguments[0].get_ref<const std::string&>();
  const std::string& fresh = text_of(arguments[1], "replace");
  for (size_t at = 0; (at = text.find(old, at)) != std::string::npos; at += fresh.size())
    text.replace(at, old.size(), fresh);
  return text;
}

json select_by(const json& list, const Values& arguments, bool is_wanted) {
  if (!list.is_array() || arguments.size() != 3 ||
      (arguments[1] != "equalto" && arguments[1] != "=="))
    fail("selectattr and rejectattr are supported as (name, \"equalto\", value) of lists only");
  json selected = json::array();
  for (const json& one : list)
    if ((item(one, arguments[0]) == arguments[2]) == is_wanted) selected.push_back(one);
  return selected;
}

json length(const json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();  // in code points
    return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
  }
  if (!value.is_array() && !value.is_object()) fail("\"length\" needs a string, list or mapping");
  return value.size();
}

}  // namespace

json undefined() { return json(json::value_t::discarded); }

json arithmetic(std::string_view sign, const json& left, const json& right) {
  if (sign == "+" && left.is_string() && right.is_string()) return concatenate(left, right);
  if (sign == "+" && left.is_array() && right.is_array()) {
    json joined = left;
    joined.insert(joined.end(), right.begin(), right.end());
    return joined;
  }
  if (!left.is_number_integer() || !right.is_number_integer())
    fail(sign == "+" ? "\"+\" needs two strings, two lists or two integers"
                     : fmt::format("\"{}\" needs two integers", sign));
  const auto a = left.get<int64_t>();
  const auto b = right.get<int64_t>();
  int64_t result = 0;
  if (sign == "+" || sign == "-" || sign == "*") {
    const bool overflows = sign == "+"   ? __builtin_add_overflow(a, b, &result)
                           : sign == "-" ? __builtin_sub_overflow(a, b, &result)
                                         : __builtin_mul_overflow(a, b, &result);
    if (overflows) fail("an integer is too large");
    return result;
  }
  if (b == 0 || b == -1) fail(fmt::format("\"{}\" by {} is not supported", sign, b));
  const int64_t remainder = (a % b + b) % b;  // of b's sign, as in Python
  if (sign == "%") return remainder;
  return (a - remainder) / b;
}

json concatenate(const json& left, const json& right) { return print(left) + print(right); }

bool contains(const json& container, const json& item) {
  if (container.is_string() && item.is_string())
    return container.get_ref<const std::string&>().find(item.get_ref<const std::string&>()) !=
           std::string::npos;
  if (container.is_object() && item.is_string())
    return container.contains(item.get_ref<const std::string&>());
  if (container.is_array())
    return std::find(container.begin(), container.end(), item) != container.end();
  fail("\"in\" needs a string, list or mapping");
}

bool compare(std::string_view sign, const json& left, const json& right) {
  const bool is_comparable =
      (left.is_number() && right.is_number()) || (left.is_string() && right.is_string());
  if (!is_comparable) fail(fmt::format("\"{}\" needs two numbers or two strings", sign));
  if (sign == "<") return left < right;
  if (sign == "<=") return left <= right;
  if (sign == ">") return left > right;
  return left >= right;
}

json item(const json& container, const json& key) {
  if (container.is_discarded()) fail("an attribute of an undefined value");
  if (container.is_object() && key.is_string()) {
    const auto found = container.find(key.get_ref<const std::string&>());
    return found == container.end() ? undefined() : *found;
  }
  if (container.is_array() && key.is_number_integer()) {
    const auto size = static_cast<int64_t>(container.size());
    auto index = key.get<int64_t>();
    if (index < 0) index += size;
    return index >= 0 && index < size ? container[static_cast<size_t>(index)] : undefined();
  }
  return undefined();
}

json slice(const json& container, std::optional<int64_t> start, std::optional<int64_t> stop,
           int64_t step) {
  if (!container.is_array() || step == 0) fail("a slice needs a list and a step that is not 0");
  const auto size = static_cast<int64_t>(container.size());
  const auto clamp = [&](int64_t index) {
    if (index < 0) index += size;
    return std::clamp<int64_t>(index, step > 0 ? 0 : -1, step > 0 ? size : size - 1);
  };
  const int64_t first = start ? clamp(*start) : step > 0 ? 0 : size - 1;
  const int64_t end = stop ? clamp(*stop) : step > 0 ? size : -1;
  json result = json::array();
  for (int64_t i = first; step > 0 ? i < end : i > end; i += step)
    result.push_back(container[static_cast<size_t>(i)]);
  return result;
}

json filter(std::string_view name, const json& value, const Values& arguments) {
  if (name == "default") {
    if (arguments.empty()) fail("\"default\" needs a value");
    return value.is_discarded() ? arguments[0] : value;
  }
  if (name == "selectattr") return select_by(value, arguments, true);
  if (name == "rejectattr") return select_by(value, arguments, false);
  if (!arguments.empty()) fail(fmt::format("arguments of \"{}\" are not supported", name));
  if (name == "length" || name == "count") return length(value);
  if (name == "string") return print(value);
  if (name == "tojson" && !value.is_discarded()) return value.dump();
  if (name == "list" && value.is_array()) return value;
  if (name == "first") return item(value, 0);
  if (name == "last") return item(value, -1);
  if (name == "trim") return std::string(strip_space(text_of(value, name), true, true));
  if (name == "lower" || name == "upper") return method(name, value, {});
  fail(fmt::format("filter \"{}\" is not supported", name));
}

bool test(std::string_view name, const json& value) {
  if (name == "string") return value.is_string();
  if (name == "defined") return !value.is_discarded();
  if (name == "undefined") return value.is_discarded();
  if (name == "none") return value.is_null();
  if (name == "true") return value == true;
  if (name == "false") return value == false;
  if (name == "boolean") return value.is_boolean();
  if (name == "number") return value.is_number();
  if (name == "integer") return value.is_number_integer();
  if (name == "mapping") return value.is_object();
  if (name == "sequence" || name == "iterable")
    return value.is_array() || value.is_string() || value.is_object();
  fail(fmt::format("test \"{}\" is not supported", name));
}

json method(std::string_view name, const json& value, const Values& arguments) {
  if (value.is_object() && name == "get" && !arguments.empty()) {
    const json found = item(value, arguments[0]);
    if (!found.is_discarded()) return found;
    return arguments.size() > 1 ? arguments[1] : json();
  }
  if (!value.is_string()) fail(fmt::format("method \"{}\" is not supported here", name));
  const auto& text = value.get_ref<const std::string&>();
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const bool left = name != "rstrip";
    const bool right = name != "lstrip";
    if (arguments.empty()) return std::string(strip_space(text, left, right));
    return strip_characters(text, text_of(arguments[0], name), left, right);
  }
  if (name == "startswith" && arguments.size() == 1)
    return text.starts_with(text_of(arguments[0], name));
  if (name == "endswith" && arguments.size() == 1)
    return text.ends_with(text_of(arguments[0], name));
  if (name == "split") return split(text, arguments);
  if (name == "replace") return replace(text, arguments);
  if (name == "upper") return map_ascii(text, std::toupper);
  if (name == "lower") return map_ascii(text, std::tolower);
  fail(fmt::format("method \"{}\" is not supported", name));
}

std::string print(const json& value) {
  if (value.is_discarded()) return {};
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return std::to_string(value.get<int64_t>());
  if (value.is_boolean()) return value.get<bool>() ? "True" : "False";
  if (value.is_null()) return "None";
  fail("a list, a mapping or a fraction cannot be printed");
}

}  // namespace jinja
}  // namespace caprl
