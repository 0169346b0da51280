#include <algorithm>
#include <map>
#include <utility>

#include "caprl/core/config.h"
#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "config_keys.h"
#include "config_values.h"

namespace caprl {
namespace {

using Sources = std::map<std::string, ConfigSource, std::less<>>;

/// YAML allows none but tab and line ends; yaml-cpp takes some for the end of the file.
void check_characters(std::string_view text, std::string_view where) {
  const auto bad = std::find_if(text.begin(), text.end(), [](unsigned char c) {
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
  });
  if (bad != text.end())
    throw InputError("{}: control character 0x{:02x} at byte {}", where,
                     static_cast<unsigned char>(*bad), bad - text.begin());
}

/// The only document of a text; nothing if there is none.
YAML::Node parse_document(const std::string& text, const std::string& where, bool has_places) {
  check_characters(text, where);
  try {
    // Without a comment at its end yaml-cpp accepts a quote that the text never closes.
    const std::vector<YAML::Node> documents = YAML::LoadAll(text + "\n#");
    if (documents.size() > 1)
      throw InputError("{}: expected one YAML document, got {}", where, documents.size());
    return documents.empty() ? YAML::Node() : documents[0];
  } catch (const YAML::Exception& error) {
    throw InputError("{}: malformed YAML: {}",
                     has_places ? describe_place(where, error.mark) : where, error.msg);
  }
}

class FileKeys {
 public:
  FileKeys(std::string file, const ConfigKeys& table) : file_(std::move(file)), table_(table) {}

  Sources collect() {
    const YAML::Node document = parse_document(read_file(file_), file_, true);
    if (document.IsNull()) throw InputError("{}: expected config keys, got an empty file", file_);
    if (!document.IsMap())
      throw InputError("{}: expected config keys, got {}", describe_place(file_, document.Mark()),
                       describe_value(document));
    collect_section(document, "");
    return std::move(sources_);
  }

 private:
  /// As deep as the config's own sections, whatever the file nests or refers to.
  void collect_section(const YAML::Node& section, const std::string& section_path) {
    for (const auto& item : section) {
      const std::string key_place = describe_place(file_, item.first.Mark());
      if (!item.first.IsScalar())
        throw InputError("{}: expected a key, got {}", key_place, describe_value(item.first));
      const std::string path = join_key(section_path, item.first.Scalar());
      const ConfigKey& key = table_.find(path, key_place);
      const auto [first, is_new] = places_.emplace(path, key_place);
      if (!is_new)
        throw InputError("{}: duplicate key '{}', first given at {}", key_place, path,
                         first->second);
      const std::string place =
          item.second.IsNull() ? key_place : describe_place(file_, item.second.Mark());
      if (!key.is_section)
        sources_.emplace(path, ConfigSource{path, place, file_, item.second});
      else if (item.second.IsMap())
        collect_section(item.second, path);
      else if (!item.second.IsNull())
        throw InputError("{}: '{}': expected a section with keys, got {}", place, path,
                         describe_value(item.second));
    }
  }

  std::string file_;
  const ConfigKeys& table_;
  std::map<std::string, std::string> places_;  // of every key so far, however it is written
  Sources sources_;
};

ConfigSource parse_override(const std::string& text, const ConfigKeys& table) {
  const std::string where = "--set " + text;
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    throw InputError("{}: expected key.path=value", where);
  const std::string path = text.substr(0, equals), value = text.substr(equals + 1);
  if (table.find(path, where).is_section)
    throw InputError("{}: '{}' is a section; set one of its keys", where, path);
  return {path, where, "", parse_document(value.empty() ? "''" : value, where, false)};
}

/// Fills the fields that have a source.
class ValueReader : public ConfigVisitor {
 public:
  explicit ValueReader(const Sources& sources) : sources_(sources) {}

  void field(std::string_view key, bool& value, std::string_view) override {
    if (const auto* source = find(key)) value = read_bool(*source);
  }
  void field(std::string_view key, int64_t& value, std::string_view, Range range) override {
    if (const auto* source = find(key)) value = read_int(*source, range);
  }
  void field(std::string_view key, double& value, std::string_view, Range range) override {
    if (const auto* source = find(key)) value = read_double(*source, range);
  }
  void field(std::string_view key, std::string& value, std::string_view) override {
    if (const auto* source = find(key)) value = read_text(*source);
  }
  void field(std::string_view key, std::vector<std::string>& value, std::string_view) override {
    if (const auto* source = find(key)) value = read_texts(*source);
  }
  void field(std::string_view key, std::vector<double>& value, std::string_view,
             Range range) override {
    if (const auto* source = find(key)) value = read_doubles(*source, range);
  }
  void field(std::string_view key, std::optional<int64_t>& value, std::string_view,
             Range range) override {
    if (const auto* source = find(key)) value = read_optional_int(*source, range);
  }
  void field(std::string_view key, std::optional<double>& value, std::string_view,
             Range range) override {
    if (const auto* source = find(key)) value = read_optional_double(*source, range);
  }

 protected:
  void choice_field(std::string_view key, std::string& value, const std::vector<std::string>& names,
                    std::string_view) override {
    if (const auto* source = find(key)) value = read_choice(*source, names);
  }
  bool begin_section(std::string_view key, std::string_view) override {
    section_ = join_key(section_, key);
    return true;
  }
  void end_section() override { section_ = std::string(split_key(section_).first); }

 private:
  const ConfigSource* find(std::string_view key) const {
    const auto found = sources_.find(join_key(section_, key));
    return found == sources_.end() ? nullptr : &found->second;
  }
  const Sources& sources_;
  std::string section_;
};

}  // namespace

void load_config(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                 ConfigRoot& root) {
  const ConfigKeys table(root);
  const auto apply = [&root](const Sources& sources) {
    ValueReader reader(sources);
    root.fields(reader);
  };
  const auto apply_one = [&apply](const ConfigSource& source) { apply({{source.path, source}}); };
  const Sources file_keys = FileKeys(file.string(), table).collect();
  std::vector<ConfigSource> settings;
  for (const std::string& text : overrides) settings.push_back(parse_override(text, table));

  // Which preset it is has to be known before its values give way to the file's.
  if (const auto preset = file_keys.find("preset"); preset != file_keys.end())
    apply_one(preset->second);
  for (const ConfigSource& setting : settings)
    if (setting.path == "preset") apply_one(setting);
  for (const PresetValue& value : root.preset_values())
    apply_one(
        {value.path, "preset: " + value.path, "", parse_document(value.value, "preset", false)});
  apply(file_keys);
  for (const ConfigSource& setting : settings) apply_one(setting);
}

}  // namespace caprl
