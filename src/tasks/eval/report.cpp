// The result as a table and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "caprl/tasks/eval.h"

namespace caprl {
namespace {

using nlohmann::json;

std::string share(int64_t part, int64_t whole) {
  if (whole == 0) return "-";
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string estimate_text(const Estimate& estimate, int64_t items) {
  if (items == 0) return "-";
  return fmt::format("{:.1f} [{:.1f}, {:.1f}]{}", 100 * estimate.value, 100 * estimate.low,
                     100 * estimate.high, estimate.is_wilson ? "*" : " ");
}

std::vector<std::string> cells(const BenchmarkResult& row) {
  const std::string tokens = row.captions == 0
                                 ? "-"
                                 : fmt::format("{:.1f}", static_cast<double>(row.caption_tokens) /
                                                             static_cast<double>(row.captions));
  return {row.name,
          fmt::format("{}", row.items),
          estimate_text(row.mean, row.items),
          estimate_text(row.best, row.items),
          tokens,
          share(row.truncated_captions, row.captions),
          share(row.unread_answers, row.answers),
          fmt::format("{}", row.unanswered),
          fmt::format("{}", row.skipped)};
}

json estimate_json(const Estimate& estimate) {
  return {{"value", estimate.value},
          {"low", estimate.low},
          {"high", estimate.high},
          {"interval", estimate.is_wilson ? "wilson" : "bootstrap"}};
}

json row_json(const BenchmarkResult& row) {
  json value = {{"benchmark", row.name},
                {"items", row.items},
                {"unanswered", row.unanswered},
                {"skipped", row.skipped},
                {"mean", nullptr},
                {"best", nullptr},
                {"captions", row.captions},
                {"truncated_captions", row.truncated_captions},
                {"caption_tokens", row.caption_tokens},
                {"answers", row.answers},
                {"truncated_answers", row.truncated_answers},
                {"unread_answers", row.unread_answers}};
  if (row.items > 0) {
    value["mean"] = estimate_json(row.mean);
    value["best"] = estimate_json(row.best);
  }
  return value;
}

/// Columns of characters, not of bytes; the first one to the left, the others to the right.
std::string columns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += i == 0 ? fmt::format("{:<{}}", row[i], widths[i])
                     : fmt::format("  {:>{}}", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace

std::string result_table(const EvalResult& result) {
  std::vector<std::vector<std::string>> rows = {
      {"benchmark", "items", "mean", fmt::format("best of {}", result.samples), "caption tokens",
       "cut off", "no answer", "unasked", "skipped"}};
  for (const BenchmarkResult& row : result.benchmarks) rows.push_back(cells(row));
  if (result.average) rows.push_back(cells(*result.average));
  std::string text = columns(rows);
  text += fmt::format(
      "\n{:g} % intervals: bootstrap over items, {} resamples; * Wilson, where every item scores 0 "
      "or 1.\n",
      100 * result.confidence, result.resamples);
  if (result.bad_rows > 0)
    text += fmt::format("{} bad rows of the data left out.\n", result.bad_rows);
  return text;
}

json result_json(const EvalResult& result) {
  json rows = json::array();
  for (const BenchmarkResult& row : result.benchmarks) rows.push_back(row_json(row));
  return {{"samples", result.samples},
          {"items_expected", result.items_expected},
          {"bad_rows", result.bad_rows},
          {"confidence", result.confidence},
          {"resamples", result.resamples},
          {"benchmarks", std::move(rows)},
          {"average", result.average ? row_json(*result.average) : json(nullptr)}};
}

}  // namespace caprl
