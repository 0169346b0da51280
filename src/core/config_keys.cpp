#include "config_keys.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "caprl/core/error.h"

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
    add(key, "true or false", to_yaml(value), {}, doc);
  }
  void field(std::string_view key, int64_t& value, std::string_view doc, Range range) override {
    add(key, "integer", to_yaml(value), range, doc);
  }
  void field(std::string_view key, double& value, std::string_view doc, Range range) override {
    add(key, "number", to_yaml(value), range, doc);
  }
  void field(std::string_view key, std::string& value, std::string_view doc) override {
    add(key, "text", to_yaml(value), {}, doc);
  }
  void field(std::string_view key, std::vector<std::string>& value, std::string_view doc) override {
    add(key, "list of texts", to_yaml(value), {}, doc);
  }
  void field(std::string_view key, std::vector<double>& value, std::string_view doc,
             Range range) override {
    add(key, "list of numbers", to_yaml(value), range, doc);
  }
  void field(std::string_view key, std::optional<int64_t>& value, std::string_view doc,
             Range range) override {
    add(key, "integer or null", to_yaml(value), range, doc);
  }
  void field(std::string_view key, std::optional<double>& value, std::string_view doc,
             Range range) override {
    add(key, "number or null", to_yaml(value), range, doc);
  }

 protected:
  void choice_field(std::string_view key, std::string& value, const std::vector<std::string>& names,
                    std::string_view doc) override {
    add(key, "choice", to_yaml(value), {}, doc);
    keys.back().allowed = fmt::format("{}", fmt::join(names, ", "));
    keys.back().names = names;
  }
  bool begin_section(std::string_view key, std::string_view doc) override {
    section_ = join_key(section_, key);
    ConfigKey& added = keys.emplace_back();
    added.path = section_;
    added.is_section = true;
    added.doc = std::string(doc);
    return true;
  }
  void end_section() override { section_ = std::string(split_key(section_).first); }

 private:
  void add(std::string_view key, std::string type, std::string value, Range range,
           std::string_view doc) {
    ConfigKey& added = keys.emplace_back();
    added.path = join_key(section_, key);
    added.type = std::move(type);
    added.value = std::move(value);
    added.allowed = describe_range(range);
    added.doc = std::string(doc);
    added.range = range;
  }
  std::string section_;
};

/// Levenshtein's edit distance.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

ConfigKeys::ConfigKeys(ConfigRoot& root) {
  KeyLister lister;
  root.fields(lister);
  keys_ = std::move(lister.keys);
}

const ConfigKey& ConfigKeys::find(std::string_view path, std::string_view where) const {
  for (const ConfigKey& key : keys_)
    if (key.path == path) return key;
  // A right name in the wrong section counts as near, too.
  constexpr size_t kOtherSection = 2;
  const auto distance = [&](const ConfigKey& key) {
    return std::min(
        edit_distance(path, key.path),
        kOtherSection + edit_distance(split_key(path).second, split_key(key.path).second));
  };
  const auto nearest =
      std::min_element(keys_.begin(), keys_.end(),
                       [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  throw InputError("{}: unknown key '{}'; did you mean '{}'?", where, path, nearest->path);
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
