// What the help of each command ends with.
#pragma once
#include <CLI/CLI.hpp>

namespace caprl {

/// Adds the examples to the help of `app` and of all commands below it.
void add_examples(CLI::App& app);

}  // namespace caprl
