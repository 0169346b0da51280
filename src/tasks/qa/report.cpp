// The result as a table and as JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "caprl/tasks/qa.h"

namespace caprl {
namespace {

std::string share(int64_t part, int64_t whole) {
  if (whole == 0) return {};
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string line(std::string_view name, int64_t count, const std::string& note = {}) {
  const std::string text = fmt::format("{:<34}{:>10}  {}", name, count, note);
  return text.substr(0, text.find_last_not_of(' ') + 1) + "\n";
}

std::string dropped_because(const std::string& reason) {
  if (reason == "malformed") return "malformed";
  if (reason == "not_asked") return "too long to be asked";
  if (reason == "not_visible") return "not answered with the image";
  return "answered without the image";
}

std::string counts_text(const std::map<std::string, int64_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, count);
  return text.empty() ? "none" : text;
}

}  // namespace

std::string result_table(const QaResult& result) {
  std::string text = line("items", result.items);
  text += line("  duplicates", result.duplicates);
  text += line("  unusable", result.unusable);
  text += line("  with a text", result.responses);
  text += line("    of it cut off", result.truncated_responses,
               share(result.truncated_responses, result.responses));
  text += line("  with questions kept", result.images_kept,
               share(result.images_kept, result.items - result.duplicates));
  text += line("questions", result.found);
  for (const auto& [reason, count] : result.dropped)
    text += line("  " + dropped_because(reason), count, share(count, result.found));
  text += line("  kept", result.kept, share(result.kept, result.found));
  text += line("answers", result.answers);
  text += line("  naming no option", result.unread_answers,
               share(result.unread_answers, result.answers));
  text += fmt::format("right with the image, of asked: {}\n", counts_text(result.visual_accuracy));
  text += fmt::format("right without it:               {}\n", counts_text(result.text_accuracy));
  text += fmt::format("letters of the answers kept:    {}\n", counts_text(result.answer_letters));
  return text + fmt::format("rows: {}\n", result.output);
}

nlohmann::json result_json(const QaResult& result) {
  return {{"items", result.items},
          {"duplicates", result.duplicates},
          {"unusable", result.unusable},
          {"responses", result.responses},
          {"truncated_responses", result.truncated_responses},
          {"images_kept", result.images_kept},
          {"questions", result.found},
          {"extracted", result.extracted},
          {"dropped", result.dropped},
          {"kept", result.kept},
          {"answers", result.answers},
          {"unread_answers", result.unread_answers},
          {"visual_accuracy", result.visual_accuracy},
          {"text_accuracy", result.text_accuracy},
          {"answer_letters", result.answer_letters},
          {"output", result.output}};
}

}  // namespace caprl
