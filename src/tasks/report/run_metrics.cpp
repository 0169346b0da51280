#include "tasks/report/run_metrics.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/json.h"

namespace caprl {
namespace {

constexpr size_t kMaxSteps = 2000;  // points of a curve; a screen has no more

struct Line {
  size_t number;  // 1 is the first
  std::string_view text;
};

std::vector<Line> whole_lines(std::string_view content) {
  std::vector<Line> lines;
  size_t begin = 0, number = 1;
  for (size_t end; (end = content.find('\n', begin)) != std::string_view::npos; begin = end + 1)
    lines.push_back({number++, content.substr(begin, end - begin)});
  return lines;
}

/// Every so many lines, the last one, and, where they are few, those of evaluations.
void thin_out(std::vector<Line>& lines, std::vector<std::string>& notes) {
  const size_t every = (lines.size() + kMaxSteps - 1) / kMaxSteps;
  if (every <= 1) return;
  const auto is_evaluation = [](const Line& line) {
    return line.text.find("\"val/") != std::string_view::npos;
  };
  const auto evaluations = static_cast<size_t>(std::ranges::count_if(lines, is_evaluation));
  std::vector<Line> kept;
  for (size_t i = 0; i < lines.size(); ++i)
    if (i % every == 0 || i + 1 == lines.size() ||
        (evaluations <= kMaxSteps / 2 && is_evaluation(lines[i])))
      kept.push_back(lines[i]);
  notes.push_back(
      fmt::format("Of the {} lines of metrics.jsonl every {}th is shown, and those of evaluations.",
                  lines.size(), every));
  lines = std::move(kept);
}

bool is_metric(const nlohmann::json& value) {
  return value.is_number() || value == "nan" || value == "inf" || value == "-inf";
}

int64_t step_of(const nlohmann::json& object, const std::string& where) {
  if (!object.is_object() || !object.contains("step") || !object["step"].is_number_integer())
    throw InputError("{}: expected a metrics line with a step, got {}", where,
                     object.is_object() ? "one without" : object.type_name());
  return object["step"].get<int64_t>();
}

}  // namespace

RunMetrics read_metrics(const std::filesystem::path& run) {
  const std::filesystem::path file = run / "metrics.jsonl";
  if (!std::filesystem::is_regular_file(file))
    throw InputError("{}: expected a run's folder with metrics.jsonl, got {}", run.string(),
                     !std::filesystem::exists(run)        ? "nothing of that name"
                     : std::filesystem::is_directory(run) ? "a folder without"
                                                          : "a file");
  const std::string content = read_file(file);
  RunMetrics metrics;
  auto lines = whole_lines(content);
  if (!content.empty() && content.back() != '\n')
    metrics.notes.push_back(
        fmt::format("Line {} of metrics.jsonl is half-written and left out.", lines.size() + 1));
  thin_out(lines, metrics.notes);
  std::set<std::string> no_numbers;
  for (const Line& line : lines) {
    const std::string where = fmt::format("{}:{}", file.string(), line.number);
    const nlohmann::json object = parse_json(line.text, where);
    const int64_t step = step_of(object, where);
    if (step < metrics.last_step())
      throw InputError("{}: step {} after step {}", where, step, metrics.last_step());
    for (const auto& [name, value] : object.items()) {
      if (name == "step") continue;
      if (!is_metric(value)) {
        no_numbers.insert(name);
        continue;
      }
      auto& column = metrics.columns[name];
      column.resize(metrics.steps.size());
      column.push_back(value);
    }
    metrics.steps.push_back(step);
  }
  for (auto& [name, column] : metrics.columns) column.resize(metrics.steps.size());
  for (const std::string& name : no_numbers)
    metrics.notes.push_back(fmt::format("'{}' in metrics.jsonl is no number and left out.", name));
  return metrics;
}

}  // namespace caprl
