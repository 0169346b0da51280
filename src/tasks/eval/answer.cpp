#include "tasks/eval/answer.h"

#include <algorithm>

#include "tasks/scorers/answer_text.h"

namespace caprl {
namespace {

constexpr std::string_view kBoxed = "\\boxed{", kThought = "</think>", kBegin = "<answer>",
                           kEnd = "</answer>";

/// The last box whose braces close.
std::optional<std::string_view> last_box(std::string_view text) {
  for (size_t at = text.rfind(kBoxed); at != std::string_view::npos;
       at = at == 0 ? std::string_view::npos : text.rfind(kBoxed, at - 1))
    if (const auto inside = braced(text, at + kBoxed.size() - 1)) return inside;
  return std::nullopt;
}

/// What <answer> and </answer> enclose after the last </think>.
std::optional<std::string_view> tagged(std::string_view text) {
  const size_t thought = text.rfind(kThought);
  if (thought == std::string_view::npos) return std::nullopt;
  text = trim(text.substr(thought + kThought.size()));
  if (!text.starts_with(kBegin)) return std::nullopt;
  const size_t end = text.rfind(kEnd);
  if (end == std::string_view::npos) return std::nullopt;
  return text.substr(kBegin.size(), end - kBegin.size());
}

/// The first letter from A to I, as the reward reads answers.
std::optional<std::string_view> first_letter(std::string_view text) {
  const auto* found =
      std::find_if(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'I'; });
  if (found == text.end()) return std::nullopt;
  return text.substr(static_cast<size_t>(found - text.begin()), 1);
}

std::optional<std::string_view> find(std::string_view output, AnswerForm form) {
  switch (form) {
    case AnswerForm::kTagged: {
      const auto inside = tagged(output);
      return inside ? last_box(*inside) : std::nullopt;
    }
    case AnswerForm::kBoxed:
      return last_box(output);
    case AnswerForm::kLetter:
      return first_letter(output);
    case AnswerForm::kText:
      return output;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> read_answer(std::string_view output, AnswerForm form) {
  const auto found = find(output, form);
  if (!found || trim(*found).empty()) return std::nullopt;
  return std::string(trim(*found));
}

}  // namespace caprl
