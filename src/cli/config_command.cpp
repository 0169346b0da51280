#include <fmt/format.h>

#include <iostream>
#include <memory>

#include "caprl/core/config_keys.h"
#include "caprl/core/error.h"
#include "caprl/reward/presets.h"
#include "caprl/train/presets.h"
#include "cli/commands.h"
#include "cli/config_kinds.h"

namespace caprl {
namespace {

/// Whose configuration is meant.
struct Kind {
  std::string command = "train";
  std::unique_ptr<ConfigRoot> config() const { return default_config(command); }
};

CLI::Option* add_kind(CLI::App& app, Kind& kind) {
  return app.add_option("--for", kind.command, "whose configuration")
      ->check(CLI::IsMember(config_commands()))
      ->capture_default_str();
}

void print_docs() {
  std::cout << "# Configuration\n\n"
               "Written by `caprl config docs`. A config is a YAML file; `--set key.path=value` "
               "overrides single keys. An\n"
               "unknown, duplicate or ill-typed key is an error that names file, line and "
               "column. The resolved config is\n"
               "saved as `config.yaml` in the run folder.\n\n"
               "# Presets\n\n"
               "What `preset: release`, `paper` and `capRL++` mean. A key that the file or `--set` "
               "names is as named there.\n\n"
            << presets_to_markdown(reward_presets()) << "\n"
            << presets_to_markdown(training_presets());
  for (const std::string& command : config_commands())
    std::cout << "\n# `caprl " << command << "`\n\n"
              << config_to_markdown(*default_config(command));
}

/// "  presets: release 8, paper 5, capRL++ 8 (server: qa_num)", where presets name the key.
void print_presets(std::string_view path) {
  for (const auto& rows : {reward_presets(), training_presets()})
    for (const PresetRow& row : rows)
      if (row.key == path)
        std::cout << fmt::format("  presets: release {}, paper {}, capRL++ {} ({})\n", row.release,
                                 row.paper, row.plus_plus, row.source);
}

void explain(const ConfigKey& key) {
  if (key.is_section) {
    std::cout << fmt::format("{}: {}\n", key.path, key.doc);
    return;
  }
  std::cout << fmt::format("{}: {}\n  {}{}{}; default {}\n", key.path, key.doc, key.type,
                           key.allowed.empty() ? "" : ", ", key.allowed, key.value);
}

bool has_key(const std::string& command, const std::string& path) {
  const auto config = default_config(command);
  for (const ConfigKey& key : ConfigKeys(*config).all())
    if (key.path == path) return true;
  return false;
}

/// The first command that has the key; "train" if none does.
std::string command_with(const std::string& path) {
  for (const std::string& command : config_commands())
    if (has_key(command, path)) return command;
  return "train";
}

void explain_path(const std::string& command, const std::string& path) {
  const auto config = default_config(command);
  const ConfigKeys keys(*config);
  const ConfigKey& asked = keys.find(path, fmt::format("config of caprl {}", command));
  explain(asked);
  if (!asked.is_section && command == "train") return print_presets(path);
  for (const ConfigKey& key : keys.all())
    if (key.path.starts_with(path + ".")) explain(key);
}

std::vector<ConfigKey> resolved(const Kind& kind, const std::string& file) {
  const auto config = kind.config();
  load_config(file, {}, *config);
  return ConfigKeys(*config).all();
}

/// A line "key: A → B" for every key that differs; false: none does.
bool print_differences(const Kind& kind, const std::string& a, const std::string& b) {
  const auto left = resolved(kind, a), right = resolved(kind, b);
  bool any = false;
  for (size_t i = 0; i < left.size(); ++i) {
    if (left[i].value == right[i].value) continue;
    std::cout << fmt::format("{}: {} → {}\n", left[i].path, left[i].value, right[i].value);
    any = true;
  }
  return any;
}

void add_show(CLI::App& command) {
  struct Options : Kind {
    std::string file;
    std::vector<std::string> overrides;
  };
  auto options = std::make_shared<Options>();
  CLI::App* show = command.add_subcommand("show", "A config with all of its keys, as resolved");
  add_kind(*show, *options);
  show->add_option("config", options->file, "YAML file; without one: the defaults");
  show->add_option("--set", options->overrides, "key.path=value; may be repeated")
      ->allow_extra_args(false);
  show->callback([options] {
    if (options->file.empty() && !options->overrides.empty())
      throw InputError("--set needs a config file to change");
    const auto config = options->config();
    if (!options->file.empty()) load_config(options->file, options->overrides, *config);
    std::cout << config_to_yaml(*config);
  });
}

void add_explain(CLI::App& command) {
  struct Options : Kind {
    std::string path;
  };
  auto options = std::make_shared<Options>();
  CLI::App* app = command.add_subcommand("explain", "What a key or a section means");
  options->command.clear();
  add_kind(*app, *options)->default_str("the first that has the key");
  app->add_option("key", options->path, "rollout.n, or a section: rollout")->required();
  app->callback([options] {
    explain_path(options->command.empty() ? command_with(options->path) : options->command,
                 options->path);
  });
}

void add_diff(CLI::App& command) {
  struct Options : Kind {
    std::string a, b;
  };
  auto options = std::make_shared<Options>();
  CLI::App* app =
      command.add_subcommand("diff", "The keys in which two configs differ, as resolved");
  add_kind(*app, *options);
  app->add_option("a", options->a, "YAML file")->required();
  app->add_option("b", options->b, "YAML file")->required();
  app->callback([options] {
    if (!print_differences(*options, options->a, options->b)) std::cout << "no key differs\n";
  });
}

void add_schema(CLI::App& command) {
  auto kind = std::make_shared<Kind>();
  CLI::App* app = command.add_subcommand(
      "schema", "JSON Schema of a config file, with which editors complete and check it");
  add_kind(*app, *kind);
  app->callback([kind] {
    const auto config = kind->config();
    std::cout << config_to_json_schema(*config, fmt::format("caprl {}", kind->command));
  });
}

}  // namespace

void add_config_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("config", "About configuration files");
  command->require_subcommand(1);
  command->add_subcommand("docs", "Every key as Markdown: docs/CONFIG.md")->callback(print_docs);
  add_show(*command);
  add_explain(*command);
  add_diff(*command);
  add_schema(*command);
}

}  // namespace caprl
