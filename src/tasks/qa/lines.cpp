#include "tasks/qa/lines.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "caprl/reward/question.h"
#include "tasks/scorers/answer_text.h"

namespace caprl {
namespace {

constexpr std::string_view kBold = "**";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The text after the first of the marks that it begins with.
template <class Marks>
std::optional<std::string_view> after(std::string_view text, const Marks& marks) {
  for (const std::string_view mark : marks)
    if (text.starts_with(mark)) return text.substr(mark.size());
  return std::nullopt;
}

bool starts_with_word(std::string_view text, std::string_view word) {
  return text.size() >= word.size() &&
         std::equal(word.begin(), word.end(), text.begin(), [](char a, char b) {
           return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
         });
}

std::string_view without_bullet(std::string_view text) {
  static constexpr std::array<std::string_view, 4> kBullets = {"- ", "* ", "+ ", "• "};
  if (const auto rest = after(text, kBullets)) return trim(*rest);
  return text;
}

/// The text of a label's letter and its mark, "A)", "(A)", "A." …; absent if there is none.
std::optional<OptionLine> labelled(std::string_view text) {
  static constexpr std::array<std::string_view, 3> kOpening = {"(", "（", "["};
  static constexpr std::array<std::string_view, 3> kClosing = {")", "）", "]"};
  static constexpr std::array<std::string_view, 5> kListing = {".", ":", "．", "、", "："};
  const auto opened = after(text, kOpening);
  const std::string_view rest = opened.value_or(text);
  if (rest.empty()) return std::nullopt;
  const bool is_small = rest[0] >= 'a' && rest[0] <= 'z';
  const int64_t label = rest[0] - (is_small ? 'a' : 'A');
  if (label < 0 || label > kMaxChoices) return std::nullopt;
  const std::string_view marked = rest.substr(1);
  if (const auto closed = after(marked, kClosing)) return OptionLine{label, std::string(*closed)};
  if (opened || is_small) return std::nullopt;
  const auto listed = after(marked, kListing);
  // "A.M." and "A:1" are no labels.
  const bool is_followed = listed && (listed->empty() || listed->starts_with(' ') ||
                                      listed->starts_with(kBold) || marked[0] < 0);
  return is_followed ? std::optional(OptionLine{label, std::string(*listed)}) : std::nullopt;
}

/// Where " B) " begins in the text of option A; npos if it does not.
size_t next_label(std::string_view text, int64_t label) {
  const std::string mark = {static_cast<char>('A' + label), ')'};
  for (size_t at = text.find(mark); at != std::string_view::npos; at = text.find(mark, at + 1)) {
    const bool ends = at + 2 == text.size() || text[at + 2] == ' ';
    if (at > 0 && text[at - 1] == ' ' && ends) return at;
  }
  return std::string_view::npos;
}

/// "1." → its number and what follows; "Q1:", "Question 1" too.
std::optional<QuestionStart> numbered(std::string_view text) {
  static constexpr std::array<std::string_view, 2> kWords = {"question", "q"};
  static constexpr std::array<std::string_view, 6> kMarks = {".", ")", ":", "．", "、", "："};
  bool is_named = false;
  for (const std::string_view word : kWords) {
    if (is_named || !starts_with_word(text, word)) continue;
    const std::string_view rest = trim(text.substr(word.size()));
    if (rest.empty() || !is_digit(rest[0])) continue;
    text = rest;
    is_named = true;
  }
  size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits])) ++digits;
  if (digits == 0 || digits > 4) return std::nullopt;
  QuestionStart start;
  start.number = std::stoll(std::string(text.substr(0, digits)));
  const std::string_view rest = text.substr(digits);
  const auto marked = after(rest, kMarks);
  // "1.5 metres" begins no question, nor does "3 dogs".
  if (marked && (marked->empty() || !is_digit((*marked)[0]))) {
    start.text = plain_line(*marked);
    return start;
  }
  if (!is_named || !trim(rest).empty()) return std::nullopt;
  return start;
}

}  // namespace

std::string plain_line(std::string_view line) {
  line = trim(line);
  if (!line.starts_with(kBold)) {
    // Bold type that began before the number or the label.
    if (line.ends_with(kBold) && line.find(kBold) == line.size() - kBold.size())
      line = trim(line.substr(0, line.size() - kBold.size()));
    return std::string(line);
  }
  std::string text(line.substr(kBold.size()));
  const size_t end = text.ends_with(kBold) ? text.size() - kBold.size() : text.find(kBold);
  if (end != std::string::npos) text.erase(end, kBold.size());
  return std::string(trim(text));
}

std::vector<OptionLine> option_line(std::string_view line) {
  auto first = labelled(plain_line(without_bullet(trim(line))));
  if (!first) return {};
  std::vector<OptionLine> options;
  std::string text = std::move(first->text);
  for (int64_t label = first->label;; ++label) {
    const size_t next = next_label(text, label + 1);
    options.push_back({label, plain_line(std::string_view(text).substr(0, next))});
    if (next == std::string::npos) return options;
    text.erase(0, next + 2);
  }
}

std::optional<std::string> answer_line(std::string_view line) {
  static constexpr std::array<std::string_view, 4> kChinese = {"正确答案", "参考答案", "答案",
                                                               "答"};
  static constexpr std::array<std::string_view, 2> kColons = {":", "："};
  line = trim(line);
  while (line.starts_with('#')) line.remove_prefix(1);
  const std::string plain = plain_line(without_bullet(trim(line)));
  std::string_view text = plain;
  if (const auto rest = after(text, kChinese)) {
    text = trim(*rest);
  } else {
    if (starts_with_word(text, "the ")) text.remove_prefix(4);
    if (starts_with_word(text, "correct ")) text.remove_prefix(8);
    if (!starts_with_word(text, "answer")) return std::nullopt;
    text = trim(text.substr(6));
    if (starts_with_word(text, "is ")) return plain_line(text.substr(3));
  }
  const auto rest = after(text, kColons);
  if (!rest) return std::nullopt;
  return plain_line(*rest);
}

std::optional<QuestionStart> question_start(std::string_view line) {
  line = trim(line);
  const bool is_heading = line.starts_with('#');
  while (line.starts_with('#')) line.remove_prefix(1);
  const std::string plain = plain_line(line);
  auto start = numbered(plain);
  if (!start && is_heading) start = QuestionStart{true, std::nullopt, plain};
  if (start) start->is_heading = is_heading;
  return start;
}

}  // namespace caprl
