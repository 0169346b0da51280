#include "config_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace caprl {
namespace {

bool is_plain(std::string_view text) {
  constexpr std::array<std::string_view, 3> kNull = {"null", "Null", "NULL"};
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/';
  };
  const auto other = [](char c) { return (c >= '0' && c <= '9') || c == '.' || c == '-'; };
  if (text.empty() || !letter(text[0])) return false;
  for (const char c : text)
    if (!letter(c) && !other(c)) return false;
  return std::find(kNull.begin(), kNull.end(), text) == kNull.end();
}

std::string to_yaml(const std::string& text) {
  if (is_plain(text)) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      quoted += fmt::format("\\{}", c);
    else if (byte < 0x20 || byte == 0x7f)
      quoted += fmt::format("\\x{:02x}", byte);
    else
      quoted += c;
  }
  return quoted + '"';
}

std::string to_yaml(bool value) { return value ? "true" : "false"; }
std::string to_yaml(int64_t value) { return fmt::format("{}", value); }
std::string to_yaml(double value) {
  if (std::isinf(value)) return value > 0 ? ".inf" : "-.inf";
  return fmt::format("{}", value);  // the shortest text that reads back to the same double
}
template <class T>
std::string to_yaml(const std::optional<T>& value) {
  return value ? to_yaml(*value) : "null";
}
template <class T>
std::string to_yaml(const std::vector<T>& values) {
  std::vector<std::string> texts;
  for (const T& value : values) texts.push_back(to_yaml(value));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

class KeyLister : public ConfigVisitor {
 public:
  std::vector<ConfigKey> keys;

  void field(std::string_view key, bool& value, std::string_view doc) override {
    add(key, "true or false", to_yaml(value), "", doc);
  }
  void field(std::string_view key, int64_t& value, std::string_view doc, Range range) override {
    add(key, "integer", to_yaml(value), describe_range(range), doc);
  }
  void field(std::string_view key, double& value, std::string_view doc, Range range) override {
    add(key, "number", to_yaml(value), describe_range(range), doc);
  }
  void field(std::string_view key, std::string& value, std::string_view doc) override {
    add(key, "text", to_yaml(value), "", doc);
  }
  void field(std::string_view key, std::vector<std::string>& value, std::string_view doc) override {
    add(key, "list of texts", to_yaml(value), "", doc);
  }
  void field(std::string_view key, std::vector<double>& value, std::string_view doc,
             Range range) override {
    add(key, "list of numbers", to_yaml(value), describe_range(range), doc);
  }
  void field(std::string_view key, std::optional<int64_t>& value, std::string_view doc,
             Range range) override {
    add(key, "integer or null", to_yaml(value), describe_range(range), doc);
  }
  void field(std::string_view key, std::optional<double>& value, std::string_view doc,
             Range range) override {
    add(key, "number or null", to_yaml(value), describe_range(range), doc);
  }

 protected:
  void choice_field(std::string_view key, std::string& value, const std::vector<std::string>& names,
                    std::string_view doc) override {
    add(key, "choice", to_yaml(value), fmt::format("{}", fmt::join(names, ", ")), doc);
  }
  bool begin_section(std::string_view key, std::string_view doc) override {
    section_ = join_key(section_, key);
    keys.push_back({.path = section_,
                    .is_section = true,
                    .type = "",
                    .value = "",
                    .allowed = "",
                    .doc = std::string(doc)});
    return true;
  }
  void end_section() override { section_ = std::string(split_key(section_).first); }

 private:
  void add(std::string_view key, std::string type, std::string value, std::string allowed,
           std::string_view doc) {
    keys.push_back({.path = join_key(section_, key),
                    .is_section = false,
                    .type = std::move(type),
                    .value = std::move(value),
                    .allowed = std::move(allowed),
                    .doc = std::string(doc)});
  }
  std::string section_;
};

}  // namespace

std::vector<ConfigKey> list_config_keys(ConfigRoot& root) {
  KeyLister lister;
  root.fields(lister);
  return std::move(lister.keys);
}

std::string describe_range(Range range) {
  const bool below = std::isfinite(range.min), above = std::isfinite(range.max);
  if (below && above) return fmt::format("{} to {}", range.min, range.max);
  if (below) return fmt::format("at least {}", range.min);
  if (above) return fmt::format("at most {}", range.max);
  return "";
}

std::string join_key(std::string_view section, std::string_view key) {
  return section.empty() ? std::string(key) : fmt::format("{}.{}", section, key);
}

std::pair<std::string_view, std::string_view> split_key(std::string_view path) {
  const size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return {"", path};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

}  // namespace caprl
