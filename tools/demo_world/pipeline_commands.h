// The commands of caprl-demo-world that tools/demo --full uses.
#pragma once
#include <CLI/CLI.hpp>

namespace caprl::demo {

/// pipeline, curation, orderings.
void add_pipeline_commands(CLI::App& app);

}  // namespace caprl::demo
