#include "config_values.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "caprl/core/error.h"
#include "config_keys.h"

namespace caprl {
namespace {

[[noreturn]] void fail(const ConfigSource& source, std::string_view expected) {
  throw InputError("{}: '{}': expected {}, got {}", source.where, source.path, expected,
                   describe_value(source.node));
}

/// Numbers and truth values are written without quotes; yaml-cpp tags plain text "?".
bool is_plain_scalar(const YAML::Node& node) { return node.IsScalar() && node.Tag() == "?"; }

std::string with_range(std::string_view kind, Range range) {
  const std::string limits = describe_range(range);
  return limits.empty() ? std::string(kind) : fmt::format("{} ({})", kind, limits);
}

/// The whole text as a number, or nothing.
template <class T>
std::optional<T> parse(std::string_view text) {
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  T value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_double(std::string_view text) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (text == ".inf" || text == "+.inf") return kInfinity;
  if (text == "-.inf") return -kInfinity;
  // from_chars knows "inf" and "nan" as well, which YAML does not.
  if (text.find_first_not_of("+-.0123456789eE") != std::string_view::npos) return std::nullopt;
  return parse<double>(text);
}

bool contains(Range range, double value) { return value >= range.min && value <= range.max; }

int64_t read_int_as(const ConfigSource& source, Range range, std::string_view kind) {
  const auto value =
      is_plain_scalar(source.node) ? parse<int64_t>(source.node.Scalar()) : std::nullopt;
  if (!value || !contains(range, static_cast<double>(*value)))
    fail(source, with_range(kind, range));
  return *value;
}

double read_double_as(const ConfigSource& source, Range range, std::string_view kind) {
  const auto value =
      is_plain_scalar(source.node) ? parse_double(source.node.Scalar()) : std::nullopt;
  if (!value || !contains(range, *value)) fail(source, with_range(kind, range));
  return *value;
}

std::vector<ConfigSource> elements(const ConfigSource& source, std::string_view kind) {
  if (!source.node.IsSequence()) fail(source, kind);
  std::vector<ConfigSource> result;
  for (const YAML::Node& node : source.node) {
    ConfigSource element = source;
    element.path = fmt::format("{}[{}]", source.path, result.size());
    element.node.reset(node);
    if (!source.origin.empty() && !node.IsNull())
      element.where = describe_place(source.origin, node.Mark());
    result.push_back(element);
  }
  return result;
}

}  // namespace

std::string describe_place(std::string_view file, const YAML::Mark& mark) {
  if (mark.is_null()) return std::string(file);
  return fmt::format("{}:{}:{}", file, mark.line + 1, mark.column + 1);
}

std::string describe_value(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a section";
    case YAML::NodeType::Scalar:
      return fmt::format("{}'{}'", is_plain_scalar(node) ? "" : "the text ", node.Scalar());
    default:
      return "null";
  }
}

bool read_bool(const ConfigSource& source) {
  if (is_plain_scalar(source.node)) {
    const std::string& text = source.node.Scalar();
    if (text == "true" || text == "True" || text == "TRUE") return true;
    if (text == "false" || text == "False" || text == "FALSE") return false;
  }
  fail(source, "true or false");
}

int64_t read_int(const ConfigSource& source, Range range) {
  return read_int_as(source, range, "an integer");
}

double read_double(const ConfigSource& source, Range range) {
  return read_double_as(source, range, "a number");
}

std::string read_text(const ConfigSource& source) {
  if (!source.node.IsScalar()) fail(source, "text");
  return source.node.Scalar();
}

std::vector<std::string> read_texts(const ConfigSource& source) {
  std::vector<std::string> result;
  for (const ConfigSource& element : elements(source, "a list of texts"))
    result.push_back(read_text(element));
  return result;
}

std::vector<double> read_doubles(const ConfigSource& source, Range range) {
  std::vector<double> result;
  for (const ConfigSource& element : elements(source, "a list of numbers"))
    result.push_back(read_double(element, range));
  return result;
}

std::optional<int64_t> read_optional_int(const ConfigSource& source, Range range) {
  if (source.node.IsNull()) return std::nullopt;
  return read_int_as(source, range, "an integer or null");
}

std::optional<double> read_optional_double(const ConfigSource& source, Range range) {
  if (source.node.IsNull()) return std::nullopt;
  return read_double_as(source, range, "a number or null");
}

std::string read_choice(const ConfigSource& source, const std::vector<std::string>& names) {
  if (!source.node.IsScalar() ||
      std::find(names.begin(), names.end(), source.node.Scalar()) == names.end())
    fail(source, fmt::format("one of {}", fmt::join(names, ", ")));
  return source.node.Scalar();
}

}  // namespace caprl
