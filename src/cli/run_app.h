// Parsing, running, and what becomes of exceptions.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace caprl {

/// Parses the arguments, which runs the chosen command's callback; returns the exit code that
/// run_main.h promises.
int run_app(CLI::App& app, std::vector<std::string> arguments);

}  // namespace caprl
