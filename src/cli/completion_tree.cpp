#include "cli/completion_tree.h"

#include <algorithm>
#include <map>
#include <set>

#include "caprl/core/config_keys.h"
#include "cli/config_kinds.h"

namespace caprl {
namespace {

using Words = std::vector<std::string>;

/// "TEXT:{train,sft}" → train, sft; nothing of other types.
Words words_of_type(const std::string& type) {
  const size_t begin = type.find('{'), end = type.find('}', begin + 1);
  if (begin == std::string::npos || end == std::string::npos) return {};
  return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
}

/// Values that the options' types do not tell.
const std::map<std::string, Words>& known_values() {
  static const std::map<std::string, Words> known = {
      {"--config", {"@yaml"}},
      {"--set", {"@setting"}},
      {"--device", {"auto", "cpu", "cuda"}},
      {"--machine", {"this", "h100", "h200", "a100"}},
      {"--resume", {"auto", "undamaged", "never"}},
      {"key", {"@key"}},
      {"config", {"@yaml"}},
      {"a", {"@yaml"}}};
  return known;
}

Words values_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (Words words = words_of_type(type); !words.empty()) return words;
  const auto known = known_values().find(option.get_name());
  if (known != known_values().end()) return known->second;
  return {type.starts_with("TEXT") ? "@file" : "@none"};
}

class Reader {
 public:
  explicit Reader(CompletionTree& tree) : tree_(tree) {}

  void read(const CLI::App& app, const std::string& place) {
    Words commands, options;
    read_options(app, place, options);
    for (const CLI::App* command : app.get_subcommands({})) {
      if (command->get_group().empty()) continue;  // hidden
      if (command->get_name().empty()) {           // a group of options
        read_options(*command, place, options);
        continue;
      }
      commands.push_back(command->get_name());
      read(*command, place.empty() ? command->get_name() : place + " " + command->get_name());
    }
    tree_.options.emplace_back(place, options);
    if (!commands.empty()) tree_.commands.emplace_back(place, commands);
  }

 private:
  void read_options(const CLI::App& app, const std::string& place, Words& options) {
    for (const CLI::Option* option : app.get_options()) {
      const bool takes_value = option->get_items_expected_max() > 0;
      if (option->get_positional()) {
        if (positionals_.insert(place).second)  // those after the first are of its kind
          tree_.values.emplace_back(place + ":", values_of(*option));
        continue;
      }
      for (const std::string& name : option->get_lnames()) {
        options.push_back("--" + name);
        if (takes_value) tree_.values.emplace_back(place + ":--" + name, values_of(*option));
      }
    }
  }

  CompletionTree& tree_;
  std::set<std::string> positionals_;
};

void read_keys(const std::string& command, CompletionTree& tree, std::set<std::string>& all) {
  Words keys;
  const auto config = default_config(command);
  for (const ConfigKey& key : ConfigKeys(*config).all()) {
    all.insert(key.path);
    if (key.is_section) continue;
    keys.push_back(key.path);
    if (key.type == "choice") tree.choices.emplace_back(command + ":" + key.path, key.names);
    if (key.type == "true or false")
      tree.choices.emplace_back(command + ":" + key.path, Words{"true", "false"});
  }
  tree.keys.emplace_back(command, keys);
}

}  // namespace

CompletionTree completion_tree(const CLI::App& app) {
  CompletionTree tree;
  Reader(tree).read(app, "");
  std::set<std::string> all;
  for (const std::string& command : config_commands()) read_keys(command, tree, all);
  tree.keys.emplace_back("config explain", Words(all.begin(), all.end()));
  return tree;
}

}  // namespace caprl
