// What caprl-bench-rollouts and caprl-bench-updates have in common: every line on stdin is answered
// with one line of JSON, and the model may be a preset's.
#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "caprl/models/model.h"
#include "caprl/models/presets.h"
#include "caprl/train/profile.h"

namespace caprl {

/// A model directory, or a preset of caprl init.
inline bool is_preset(const std::string& name) {
  return std::ranges::find(preset_names(), name) != preset_names().end();
}
inline nlohmann::json model_config(const std::string& name) {
  return is_preset(name) ? preset_config(name)
                         : read_json(std::filesystem::path(name) / "config.json");
}
/// A preset's weights are random.
inline std::unique_ptr<Model> make_model(const std::string& name, const ModelOptions& options) {
  return is_preset(name) ? Model::random(preset_config(name), 1, options)
                         : Model::load(name, options);
}

/// `answer` of every line; the one after "trace FILE" is traced.
template <class Answer>
void answer_lines(Answer answer) {
  std::cout << nlohmann::json{{"ready", true}}.dump() << std::endl;
  std::string trace_file;
  for (std::string line; std::getline(std::cin, line);) {
    nlohmann::json reply;
    try {
      if (line.starts_with("trace ")) {
        trace_file = line.substr(6);
        continue;
      }
      std::optional<Trace> trace;
      if (!trace_file.empty()) trace.emplace();
      reply = answer(line);
      if (trace) trace->save(std::exchange(trace_file, {}));
    } catch (const c10::Error& error) {
      reply = {{"error", error.what_without_backtrace()}};
    } catch (const std::exception& error) {
      reply = {{"error", error.what()}};
    }
    std::cout << reply.dump() << std::endl;
  }
}

template <class Program>
int run_json_program(const char* name, int argc, char** argv, Program program) {
  try {
    return program(argc, argv);
  } catch (const Error& error) {
    std::cerr << name << ": " << error.what() << "\n";
    return error.exit_code();
  } catch (const c10::Error& error) {
    std::cerr << name << ": " << error.what_without_backtrace() << "\n";
    return 1;
  }
}

}  // namespace caprl
