#include "tasks/scorers/answer_text.h"

#include <array>
#include <utility>

namespace caprl {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;
constexpr std::array<Pair, 9> kEnclosing = {{{"$$", "$$"},
                                             {"$", "$"},
                                             {"\\(", "\\)"},
                                             {"\\[", "\\]"},
                                             {"**", "**"},
                                             {"\"", "\""},
                                             {"'", "'"},
                                             {"`", "`"},
                                             {"“", "”"}}};
constexpr std::array<std::string_view, 8> kCommands = {
    "\\boxed", "\\text", "\\textbf", "\\textit", "\\mathrm", "\\mathbf", "\\mathit", "\\mbox"};

/// The inside of marks that enclose the whole; what is between them must not end them earlier.
std::string_view without_marks(std::string_view text) {
  for (const auto& [begin, end] : kEnclosing) {
    if (text.size() < begin.size() + end.size() || !text.starts_with(begin) || !text.ends_with(end))
      continue;
    const auto inside = text.substr(begin.size(), text.size() - begin.size() - end.size());
    if (inside.find(end) == std::string_view::npos) return inside;
  }
  return text;
}

std::string_view without_command(std::string_view text) {
  for (const std::string_view command : kCommands) {
    const size_t open = command.size();
    if (!text.starts_with(command) || open >= text.size() || text[open] != '{') continue;
    const auto inside = braced(text, open);
    if (inside && open + inside->size() + 2 == text.size()) return *inside;
  }
  return text;
}

}  // namespace

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

std::optional<std::string_view> braced(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;  // \{ and \} are no braces
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return text.substr(open + 1, i - open - 1);
    }
  }
  return std::nullopt;
}

std::string_view unwrap(std::string_view text) {
  for (;;) {
    const size_t size = text.size();
    text = without_command(without_marks(trim(text)));
    if (text.size() == size) return text;
  }
}

std::string_view without_full_stop(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  return text;
}

}  // namespace caprl
