#include "tasks/qa/letter.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "caprl/text/words.h"
#include "tasks/scorers/answer_text.h"

namespace caprl {
namespace {

bool is_alnum(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }
bool is_small(char c) { return c >= 'a' && c <= 'z'; }

/// A letter that is beside no other character of a word.
bool stands_alone(std::string_view text, size_t at) {
  const auto joins = [](char c) { return is_alnum(c) || c == '\'' || c == '_'; };
  if (at > 0 && joins(text[at - 1])) return false;
  if (at + 1 == text.size()) return true;
  static constexpr std::array<std::string_view, 5> kMarks = {"）", "．", "、", "：", "。"};
  const std::string_view rest = text.substr(at + 1);
  const bool is_marked = std::any_of(kMarks.begin(), kMarks.end(),
                                     [&](std::string_view mark) { return rest.starts_with(mark); });
  return is_marked || (rest[0] > 0 && !joins(rest[0]));
}

/// "A cat": followed by a small word; "A or B" are two letters.
bool is_article(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at + 1);
  const bool is_followed = rest.size() > 1 && rest[0] == ' ' && is_small(rest[1]);
  return text[at] == 'A' && is_followed && !rest.starts_with(" or ") && !rest.starts_with(" and ");
}

/// Where the word "answer" leads to: "The answer is B".
size_t after_answer(std::string_view text) {
  constexpr std::string_view kAnswer = "answer";
  const auto found =
      std::search(text.begin(), text.end(), kAnswer.begin(), kAnswer.end(), [](char a, char b) {
        return static_cast<char>(std::tolower(static_cast<unsigned char>(a))) == b;
      });
  if (found == text.end()) return std::string_view::npos;
  size_t at = static_cast<size_t>(found - text.begin()) + kAnswer.size();
  const auto skip = [&](std::string_view characters) {
    at = std::min(text.find_first_not_of(characters, at), text.size());
  };
  skip(" ");
  if (text.substr(at).starts_with("is ")) at += 3;
  skip(" :*(\"");
  return at;
}

/// The option whose text this is.
char option_of_text(std::string_view text, const AskedQuestion& asked, const Question& question) {
  const auto plain = [](std::string_view words) {
    return lower_and_squeeze(without_full_stop(unwrap(words)));
  };
  const std::string wanted = plain(text);
  for (size_t place = 0; place < question.choices.size(); ++place) {
    const auto choice = asked.order.empty() ? static_cast<int64_t>(place) : asked.order[place];
    if (plain(question.choices[choice]) == wanted) return static_cast<char>('A' + place);
  }
  return 0;
}

}  // namespace

char chosen_letter(std::string_view text, const AskedQuestion& asked, const Question& question) {
  const std::string labels = asked.labels();
  const auto is_label = [&](size_t at) {
    return at < text.size() && labels.find(text[at]) != std::string::npos && stands_alone(text, at);
  };
  if (const size_t at = after_answer(text); is_label(at)) return text[at];
  std::vector<char> letters;
  for (size_t at = 0; at < text.size(); ++at)
    if (is_label(at) && !is_article(text, at) && std::ranges::count(letters, text[at]) == 0)
      letters.push_back(text[at]);
  if (letters.size() == 1) return letters[0];
  return letters.empty() ? option_of_text(text, asked, question) : '\0';
}

}  // namespace caprl
