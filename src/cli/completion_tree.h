// What may stand where on a command line: read from the commands themselves and from the structs of
// their configurations.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

namespace caprl {

/// Place to words. A place is "config show" (a command), "config show:--for" (the value of its
/// option), "config show:" (an argument of it), "train:data.bad_rows" (a key's value). In place of
/// words: @file, @yaml (a file), @setting (key=value), @key, @none.
using CompletionTable = std::vector<std::pair<std::string, std::vector<std::string>>>;

struct CompletionTree {
  CompletionTable commands;  // subcommands of a command, "" being the program
  CompletionTable options;   // of a command: "--config", …
  CompletionTable values;    // of options and arguments that have one
  CompletionTable keys;      // of a command's configuration
  CompletionTable choices;   // of keys with few values
};
CompletionTree completion_tree(const CLI::App& app);

}  // namespace caprl
