#include <fmt/format.h>

#include <iostream>
#include <memory>

#include <completion_files.h>  // made of completion/ by CMake
#include "cli/commands.h"
#include "cli/completion_tree.h"

namespace caprl {
namespace {

/// A function of the shell that prints the words of the place that it is given, one a line.
struct Syntax {
  const char *begin, *item, *end;
};
constexpr Syntax kBourne{"{}() {{\n  case \"$1\" in\n", "    '{}') printf '%s\\n' {} ;;\n",
                         "  esac\n}\n"};
constexpr Syntax kFish{"function {}\n  switch $argv[1]\n",
                       "    case '{}'\n      printf '%s\\n' {}\n", "  end\nend\n"};

std::string function(const Syntax& syntax, const char* name, const CompletionTable& table) {
  std::string text = fmt::format(fmt::runtime(syntax.begin), name);
  for (const auto& [place, words] : table)
    if (!words.empty())
      text += fmt::format(fmt::runtime(syntax.item), place,
                          fmt::format("'{}'", fmt::join(words, "' '")));
  return text + syntax.end;
}

void print_script(const CLI::App& app, const std::string& shell) {
  const CompletionTree tree = completion_tree(app);
  const Syntax& syntax = shell == "fish" ? kFish : kBourne;
  if (shell == "zsh") std::cout << "#compdef caprl caprl-train\n";
  std::cout << "# Completion of caprl's commands, options and configuration keys, made by `caprl "
               "completion "
            << shell << "`.\n"
            << function(syntax, "_caprl_commands", tree.commands)
            << function(syntax, "_caprl_options", tree.options)
            << function(syntax, "_caprl_values", tree.values)
            << function(syntax, "_caprl_keys", tree.keys)
            << function(syntax, "_caprl_choices", tree.choices);
  if (shell != "fish") std::cout << completion_file("places.sh");
  std::cout << completion_file("caprl." + shell);
}

}  // namespace

void add_completion_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "completion", "A script that completes commands, options and keys in a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([shell, root = &app] { print_script(*root, *shell); });
}

}  // namespace caprl
