// The program called in this process.
#pragma once
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "caprl/core/log.h"
#include "cli/commands.h"
#include "cli/run_app.h"
#include "support/json.h"

namespace caprl {

struct Outcome {
  int exit_code;
  std::string out, err;
  std::vector<nlohmann::json> lines() const {
    std::vector<nlohmann::json> parsed;
    std::istringstream in(out);
    for (std::string line; std::getline(in, line);) parsed.push_back(json_of(line));
    return parsed;
  }
};

inline Outcome caprl(std::vector<std::string> arguments) {
  [[maybe_unused]] static const bool logging = (init_logging(), true);  // as main() does
  CLI::App app("a test", "test");
  add_commands(app);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int exit_code = run_app(app, std::move(arguments));
  return {exit_code, testing::internal::GetCapturedStdout(),
          testing::internal::GetCapturedStderr()};
}

}  // namespace caprl
