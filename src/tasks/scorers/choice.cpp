#include <algorithm>

#include "caprl/text/words.h"
#include "tasks/scorers/answer_text.h"
#include "tasks/scorers/scorer.h"

namespace caprl {
namespace {

/// 0 for A or a; absent for what is no letter of ASCII.
std::optional<int64_t> letter(char c) {
  if (c >= 'a' && c <= 'z') return c - 'a';
  if (c >= 'A' && c <= 'Z') return c - 'A';
  return std::nullopt;
}

std::string_view without_prefix(std::string_view text) {
  for (const std::string_view word : {"option ", "choice ", "answer: ", "answer "}) {
    const bool same = text.size() > word.size() &&
                      std::equal(word.begin(), word.end(), text.begin(), [](char a, char b) {
                        return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
                      });
    if (same) return trim(text.substr(word.size()));
  }
  return text;
}

/// "B", "(B)", "B)", "B. red", "B: red". A full stop counts only before a space or the end.
std::optional<int64_t> labelled(std::string_view text) {
  const bool opened = text.starts_with('(') || text.starts_with('[');
  if (opened) text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  const auto index = letter(text[0]);
  const std::string_view rest = text.substr(1);
  if (!index) return std::nullopt;
  if (rest.empty()) return opened ? std::nullopt : index;
  if (rest[0] == ')' || rest[0] == ']') return index;
  if (opened) return std::nullopt;
  const bool marked = rest[0] == ':' || rest.starts_with("）") || rest.starts_with("：") ||
                      rest.starts_with("．") || rest.starts_with("、");
  const bool stopped = rest[0] == '.' && (rest.size() == 1 || trim(rest.substr(1, 1)).empty());
  return marked || stopped ? index : std::nullopt;
}

/// The one choice of this text.
std::optional<int64_t> named(const Question& question, std::string_view text) {
  const std::string wanted = lower_and_squeeze(without_full_stop(text));
  std::optional<int64_t> found;
  for (size_t i = 0; i < question.choices.size(); ++i) {
    if (lower_and_squeeze(without_full_stop(unwrap(question.choices[i]))) != wanted) continue;
    if (found) return std::nullopt;
    found = static_cast<int64_t>(i);
  }
  return found;
}

}  // namespace

double score_choice(const Expected& expected, std::string_view given) {
  const int64_t right = expected.question ? expected.question->answer
                                          : letter(expected.answers.front()[0]).value_or(-1);
  const int64_t count = expected.question ? std::ssize(expected.question->choices) : 26;
  const std::string_view text = without_prefix(unwrap(given));
  std::optional<int64_t> chosen = labelled(unwrap(text));
  if (chosen && *chosen >= count) chosen.reset();
  if (!chosen && expected.question) chosen = named(*expected.question, text);
  return chosen == right ? 1 : 0;
}

}  // namespace caprl
