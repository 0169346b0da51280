// Typed configuration: each struct describes its own fields once; reading YAML, writing the
// resolved config and docs/CONFIG.md all walk that description.
#pragma once
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace caprl {

/// Closed interval that a number must lie in.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
};

/// Walks the fields of config structs. A struct S takes part by a member `void
/// fields(ConfigVisitor& v)` that names every field once:
///   v.field("lr", lr, "peak learning rate", Range{0, 1});
///   v.choice("schedule", schedule, {{"constant", Schedule::kConstant}, …}, "shape after warm-up");
///   v.section("optimizer", optimizer, "AdamW");
class ConfigVisitor {
 public:
  virtual ~ConfigVisitor() = default;
  virtual void field(std::string_view key, bool& value, std::string_view doc) = 0;
  virtual void field(std::string_view key, int64_t& value, std::string_view doc,
                     Range range = {}) = 0;
  virtual void field(std::string_view key, double& value, std::string_view doc,
                     Range range = {}) = 0;
  virtual void field(std::string_view key, std::string& value, std::string_view doc) = 0;
  virtual void field(std::string_view key, std::vector<std::string>& value,
                     std::string_view doc) = 0;
  virtual void field(std::string_view key, std::vector<double>& value, std::string_view doc,
                     Range range = {}) = 0;
  /// null in YAML means absent.
  virtual void field(std::string_view key, std::optional<int64_t>& value, std::string_view doc,
                     Range range = {}) = 0;
  virtual void field(std::string_view key, std::optional<double>& value, std::string_view doc,
                     Range range = {}) = 0;

  template <class E>
  void choice(std::string_view key, E& value,
              std::initializer_list<std::pair<std::string_view, E>> names, std::string_view doc) {
    std::vector<std::string> all;
    std::string current;
    for (const auto& [name, meaning] : names) {
      all.emplace_back(name);
      if (meaning == value) current = name;
    }
    choice_field(key, current, all, doc);
    for (const auto& [name, meaning] : names)
      if (name == current) value = meaning;
  }

  template <class S>
  void section(std::string_view key, S& value, std::string_view doc) {
    if (!begin_section(key, doc)) return;
    value.fields(*this);
    end_section();
  }

 protected:
  virtual void choice_field(std::string_view key, std::string& value,
                            const std::vector<std::string>& names, std::string_view doc) = 0;
  /// False: the section is to be skipped.
  virtual bool begin_section(std::string_view key, std::string_view doc) = 0;
  virtual void end_section() = 0;
};

/// What a key is where neither the file nor an override names it, in YAML syntax.
struct PresetValue {
  std::string path;  // "rollout.n"
  std::string value;
};

/// Something with fields(), behind a plain interface so that the readers need no templates.
class ConfigRoot {
 public:
  virtual ~ConfigRoot() = default;
  virtual void fields(ConfigVisitor& v) = 0;
  /// Of the preset that the key `preset` names, once that is read.
  virtual std::vector<PresetValue> preset_values() const { return {}; }
};

/// Reads the YAML file into `root` (the preset's values, and then defaults, stay where the file is
/// silent), then applies `overrides`
/// ("key.path=value", the value in YAML syntax; nothing after the "=" is an empty text). Conditions
/// between keys are the caller's. Integers are written as integers, true and false as these words,
/// null only for optional keys; a key without a value is null, a section without keys is empty.
/// Throws InputError "FILE:LINE:COLUMN: …" for unknown (with the nearest known key), duplicate,
/// ill-typed and out-of-range keys, for malformed YAML, and for a file with no or several
/// documents; overrides are reported as
/// "--set key.path=value: …". `root` may then be partly read.
void load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                 ConfigRoot& root);

/// The resolved config as YAML, every key written, in declaration order. Reads back to the same
/// values.
std::string config_to_yaml(ConfigRoot& root);

/// Markdown tables of every key: path, type, default, allowed values, meaning; a heading of level 2
/// per section.
std::string config_to_markdown(ConfigRoot& root);

/// The same for a config struct itself.
template <class S>
concept ConfigStruct = !std::derived_from<S, ConfigRoot> && requires(S s, ConfigVisitor& v) {
  s.fields(v);
};

template <ConfigStruct S>
class ConfigOf : public ConfigRoot {
 public:
  explicit ConfigOf(S& config) : config_(config) {}
  void fields(ConfigVisitor& v) override { config_.fields(v); }
  std::vector<PresetValue> preset_values() const override {
    if constexpr (requires(const S& s) { s.preset_values(); }) return config_.preset_values();
    return {};
  }

 private:
  S& config_;
};

template <ConfigStruct S>
void load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                 S& config) {
  ConfigOf<S> root(config);
  load_config(file, overrides, static_cast<ConfigRoot&>(root));
}

template <ConfigStruct S>
std::string config_to_yaml(S config) {
  ConfigOf<S> root(config);
  return config_to_yaml(static_cast<ConfigRoot&>(root));
}

template <ConfigStruct S>
std::string config_to_markdown(S config) {
  ConfigOf<S> root(config);
  return config_to_markdown(static_cast<ConfigRoot&>(root));
}

}  // namespace caprl
