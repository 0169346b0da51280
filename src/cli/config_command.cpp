#include <fmt/format.h>

#include <functional>
#include <iostream>
#include <memory>

#include "caprl/core/config_keys.h"
#include "caprl/core/error.h"
#include "caprl/reward/server.h"
#include "caprl/tasks/caption.h"
#include "caprl/tasks/eval.h"
#include "caprl/train/config.h"
#include "caprl/train/presets.h"
#include "cli/commands.h"

namespace caprl {
namespace {

/// Whose configuration is meant.
struct Kind {
  std::string command = "train";
};

void add_kind(CLI::App& app, Kind& kind) {
  app.add_option("--for", kind.command, "whose configuration")
      ->check(CLI::IsMember({"train", "sft", "caption", "eval", "serve-reward"}))
      ->capture_default_str();
}

/// work(config) with the default configuration of that command.
template <class Work>
void with_config(const Kind& kind, Work work) {
  if (kind.command == "sft") return work(SftConfig());
  if (kind.command == "caption") return work(CaptionConfig());
  if (kind.command == "eval") return work(PrismConfig());
  if (kind.command == "serve-reward") return work(RewardServerConfig());
  work(GrpoConfig());
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
            << presets_to_markdown(training_presets()) << "\n# `caprl train`\n\n"
            << config_to_markdown(GrpoConfig()) << "\n# `caprl sft`\n\n"
            << config_to_markdown(SftConfig()) << "\n# `caprl caption`\n\n"
            << config_to_markdown(CaptionConfig()) << "\n# `caprl eval`\n\n"
            << config_to_markdown(PrismConfig()) << "\n# `caprl serve-reward`\n\n"
            << config_to_markdown(RewardServerConfig());
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

template <class Config>
void explain_path(Config config, const std::string& path, const Kind& kind) {
  ConfigOf<Config> root(config);
  const ConfigKeys keys(root);
  const ConfigKey& asked = keys.find(path, fmt::format("config of caprl {}", kind.command));
  explain(asked);
  if (!asked.is_section) return print_presets(path);
  for (const ConfigKey& key : keys.all())
    if (key.path.starts_with(path + ".")) explain(key);
}

template <class Config>
std::vector<ConfigKey> resolved(Config config, const std::string& file) {
  load_config(file, {}, config);
  ConfigOf<Config> root(config);
  return ConfigKeys(root).all();
}

/// A line "key: A → B" for every key that differs; false: none does.
template <class Config>
bool print_differences(Config config, const std::string& a, const std::string& b) {
  const auto left = resolved(config, a), right = resolved(config, b);
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
    with_config(*options, [&](auto config) {
      if (options->file.empty() && !options->overrides.empty())
        throw InputError("--set needs a config file to change");
      if (!options->file.empty()) load_config(options->file, options->overrides, config);
      std::cout << config_to_yaml(config);
    });
  });
}

void add_explain(CLI::App& command) {
  struct Options : Kind {
    std::string path;
  };
  auto options = std::make_shared<Options>();
  CLI::App* app = command.add_subcommand("explain", "What a key or a section means");
  add_kind(*app, *options);
  app->add_option("key", options->path, "rollout.n, or a section: rollout")->required();
  app->callback([options] {
    with_config(*options, [&](auto config) { explain_path(config, options->path, *options); });
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
    with_config(*options, [&](auto config) {
      if (!print_differences(config, options->a, options->b)) std::cout << "no key differs\n";
    });
  });
}

void add_schema(CLI::App& command) {
  auto kind = std::make_shared<Kind>();
  CLI::App* app = command.add_subcommand(
      "schema", "JSON Schema of a config file, with which editors complete and check it");
  add_kind(*app, *kind);
  app->callback([kind] {
    with_config(*kind, [&](auto config) {
      ConfigOf<decltype(config)> root(config);
      std::cout << config_to_json_schema(root, fmt::format("caprl {}", kind->command));
    });
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
