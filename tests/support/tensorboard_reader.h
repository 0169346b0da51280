// What TensorBoard's own reader makes of a folder of event files.
#pragma once
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace caprl {

/// {tag: [[step, value], …]}; nothing if neither the environment of tools/fidelity nor python3 has
/// the package tensorboard.
inline std::optional<nlohmann::json> read_with_tensorboard(const std::filesystem::path& folder) {
  const std::string parity = CAPRL_SOURCE_DIR "/.deps/parity/bin/python";
  for (const std::string& python : {parity, std::string("python3")}) {
    if (std::system(("'" + python + "' -c 'import tensorboard' 2>/dev/null").c_str()) != 0)
      continue;
    const std::string command = "'" + python +
                                "' " CAPRL_SOURCE_DIR "/tests/support/read_events.py '" +
                                folder.string() + "'";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::string out;
    std::array<char, 4096> buffer;
    while (const size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe))
      out.append(buffer.data(), count);
    if (::pclose(pipe) != 0) throw std::runtime_error("TensorBoard's reader failed: " + command);
    return nlohmann::json::parse(out);
  }
  return std::nullopt;
}

inline constexpr const char* kNoTensorboard =
    "no Python with the package tensorboard; tools/fidelity/environment makes one";

}  // namespace caprl
