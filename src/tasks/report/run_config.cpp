#include "tasks/report/run_config.h"

#include <yaml-cpp/yaml.h>

#include <charconv>

#include "caprl/core/error.h"
#include "caprl/core/files.h"

namespace caprl {
namespace {

std::string text_of(const YAML::Node& node) {
  if (node.IsScalar()) return node.Scalar();
  if (node.IsNull()) return "null";
  std::string items;
  for (const YAML::Node& item : node) items += (items.empty() ? "" : ", ") + text_of(item);
  return "[" + items + "]";
}

void flatten(const YAML::Node& node, const std::string& path, RunConfigText& config) {
  if (!node.IsMap()) {
    config.values.emplace_back(path, text_of(node));
    return;
  }
  for (const auto& member : node) {
    const std::string key = member.first.Scalar();
    flatten(member.second, path.empty() ? key : path + "." + key, config);
  }
}

}  // namespace

std::optional<int64_t> RunConfigText::total_steps() const {
  for (const auto& [key, value] : values) {
    int64_t steps = 0;
    if (key == "train.total_steps" &&
        std::from_chars(value.data(), value.data() + value.size(), steps).ec == std::errc())
      return steps;
  }
  return std::nullopt;
}

RunConfigText read_run_config(const std::filesystem::path& run) {
  RunConfigText config;
  try {
    flatten(YAML::Load(read_file(run / "config.yaml")), "", config);
  } catch (const Error& error) {
    config = {{}, {error.what()}};
  } catch (const YAML::Exception& error) {
    config = {{}, {fmt::format("config.yaml cannot be read: {}", error.what())}};
  }
  return config;
}

}  // namespace caprl
