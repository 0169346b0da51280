#include "caprl/reward/question.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "caprl/core/error.h"
#include "caprl/core/excerpt.h"

namespace caprl {
namespace {

using Json = nlohmann::json;
constexpr int64_t kNumLetters = 26;

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

/// 0 for A or a, 1 for B or b, …; absent for what cannot label a choice.
std::optional<int64_t> letter_index(char c, int64_t num_letters = kMaxChoices) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c < 'A' || c >= 'A' + num_letters) return std::nullopt;
  return c - 'A';
}

struct Labelled {
  int64_t label;
  std::string_view text;
};

/// The text after the first of `marks` that it begins with.
std::optional<std::string_view> after(std::string_view text,
                                      std::initializer_list<std::string_view> marks) {
  for (const std::string_view mark : marks)
    if (text.starts_with(mark)) return text.substr(mark.size());
  return std::nullopt;
}

/// "A) red", "(A) red", "A. red" → {0, "red"}, and the same with full-width marks. A full stop
/// counts only before a space or the end ("A.M." is no label).
std::optional<Labelled> split_label(std::string_view text, int64_t num_letters = kMaxChoices) {
  const auto opened = after(text, {"(", "（"});
  const std::string_view rest = opened.value_or(text);
  const auto label = rest.empty() ? std::nullopt : letter_index(rest[0], num_letters);
  if (!label) return std::nullopt;
  const std::string_view marked = rest.substr(1);
  if (const auto closed = after(marked, {")", "）"})) return Labelled{*label, trim(*closed)};
  if (opened) return std::nullopt;
  if (const auto listed = after(marked, {"．", "、"})) return Labelled{*label, trim(*listed)};
  const auto stopped = after(marked, {"."});
  if (!stopped || !trim(stopped->substr(0, 1)).empty()) return std::nullopt;
  return Labelled{*label, trim(*stopped)};
}

const Json& member(const Json& item, const char* key, std::string_view where) {
  const auto found = item.find(key);
  if (found == item.end()) throw InputError("{}: the question has no '{}'", where, key);
  return *found;
}

std::string string_member(const Json& item, const char* key, std::string_view where) {
  const Json& value = member(item, key, where);
  if (!value.is_string())
    throw InputError("{}: '{}' of a question: expected a string, got {}", where, key,
                     value.type_name());
  return std::string(trim(value.get_ref<const std::string&>()));
}

std::vector<std::string> choice_texts(const Json& item, std::string_view where,
                                      int64_t max_choices) {
  const Json& choices = member(item, "choices", where);
  if (!choices.is_array())
    throw InputError("{}: 'choices' of a question: expected a list of strings, got {}", where,
                     choices.type_name());
  const auto count = static_cast<int64_t>(choices.size());
  if (count < 2 || count > max_choices)
    throw InputError("{}: 'choices' of a question: expected 2 to {} choices, got {}", where,
                     max_choices, count);
  std::vector<std::string> texts;
  for (const Json& choice : choices) {
    if (!choice.is_string())
      throw InputError("{}: choice {} of a question: expected a string, got {}", where,
                       texts.size() + 1, choice.type_name());
    texts.emplace_back(trim(choice.get_ref<const std::string&>()));
  }
  return texts;
}

/// Takes the labels off, if there are any; says whether there were.
bool strip_labels(std::vector<std::string>& texts, std::string_view where, int64_t max_choices) {
  // "(a)" alone is a choice ("which panel?"), not a label without a text.
  const auto has_label = [max_choices](const std::string& text) {
    const auto parts = split_label(text, max_choices);
    return parts && !(parts->text.empty() && text.starts_with('('));
  };
  if (std::none_of(texts.begin(), texts.end(), has_label)) return false;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto parts = split_label(texts[i], max_choices);
    if (!parts || parts->label != static_cast<int64_t>(i))
      throw InputError(
          "{}: choice {} of a question: expected the label '{}', as choices are labelled in order "
          "or not at all, got '{}'",
          where, i + 1, static_cast<char>('A' + i), texts[i]);
    texts[i] = std::string(parts->text);
  }
  return true;
}

void check_choices(const std::vector<std::string>& choices, std::string_view where) {
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].empty()) throw InputError("{}: choice {} of a question is empty", where, i + 1);
    for (size_t j = 0; j < i; ++j)
      if (choices[i] == choices[j])
        throw InputError("{}: choices {} and {} of a question are the same: '{}'", where, j + 1,
                         i + 1, choices[i]);
  }
}

/// The choice that the answer's letter names, checked against the text that may follow the letter.
std::optional<int64_t> answer_by_letter(std::string_view answer,
                                        const std::vector<std::string>& choices) {
  const auto count = static_cast<int64_t>(choices.size());
  std::optional<Labelled> parts = split_label(answer, kNumLetters);
  if (!parts && answer.size() == 1)
    if (const auto letter = letter_index(answer[0], kNumLetters)) parts = Labelled{*letter, {}};
  if (!parts || parts->label >= count) return std::nullopt;
  if (!parts->text.empty() && parts->text != choices[parts->label]) return std::nullopt;
  return parts->label;
}

/// The index of the right choice. Labels make a letter mean the label; without them it may as well
/// be a choice's text.
int64_t find_answer(const std::string& answer, const std::vector<std::string>& choices,
                    bool labelled, std::string_view where) {
  const auto letter = answer_by_letter(answer, choices);
  const auto text = std::find(choices.begin(), choices.end(), answer);
  const bool is_text = text != choices.end();
  if (!letter && !is_text)
    throw InputError("{}: the answer '{}' of a question is none of its {} choices", where, answer,
                     choices.size());
  const int64_t text_index = text - choices.begin();
  if (letter && is_text && *letter != text_index && !labelled)
    throw InputError("{}: the answer '{}' of a question may mean choice {} or choice {}", where,
                     answer, *letter + 1, text_index + 1);
  return letter ? *letter : text_index;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

/// Without the blank space around the whole.
std::string join_lines(const std::vector<std::string_view>& lines) {
  std::string text;
  for (const std::string_view line : lines) (text += line) += '\n';
  return std::string(trim(text));
}

/// The last line that is labelled A and has a B somewhere below it; the number of lines if there is
/// none.
size_t first_choice(const std::vector<std::string_view>& lines) {
  bool has_b = false;
  for (size_t i = lines.size(); i-- > 0;) {
    const auto parts = split_label(trim(lines[i]));
    if (parts && parts->label == 0 && has_b) return i;
    has_b = has_b || (parts && parts->label == 1);
  }
  return lines.size();
}

}  // namespace

Question parse_question(const Json& item, std::string_view where, int64_t max_choices) {
  if (!item.is_object())
    throw InputError("{}: a question: expected an object, got {}", where, item.type_name());
  Question question;
  question.text = string_member(item, "question", where);
  if (question.text.empty()) throw InputError("{}: 'question' of a question is empty", where);
  question.choices = choice_texts(item, where, max_choices);
  const bool labelled = strip_labels(question.choices, where, max_choices);
  check_choices(question.choices, where);
  question.answer =
      find_answer(string_member(item, "answer", where), question.choices, labelled, where);
  return question;
}

Question parse_inline_question(std::string_view text, std::string_view answer,
                               std::string_view where) {
  const std::vector<std::string_view> lines = split_lines(text);
  const size_t first = first_choice(lines);
  if (first == lines.size())
    throw InputError("{}: expected a question followed by lines 'A) …', 'B) …', got none in '{}'",
                     where, excerpt(text, 80));
  Question question;
  question.text = join_lines({lines.begin(), lines.begin() + static_cast<ptrdiff_t>(first)});
  if (question.text.empty()) throw InputError("{}: a question has choices but no text", where);
  std::vector<std::string_view> choice;  // lines
  const auto add_choice = [&] {
    if (!choice.empty()) question.choices.push_back(join_lines(choice));
    choice.clear();
  };
  for (size_t i = first; i < lines.size(); ++i) {
    const auto parts = split_label(trim(lines[i]), kMaxChoices + 1);
    const auto next = std::ssize(question.choices) + (choice.empty() ? 0 : 1);
    if (parts && parts->label != next)
      throw InputError("{}: expected the choices' labels in order, '{}' next, got '{}'", where,
                       static_cast<char>('A' + next), trim(lines[i]));
    if (parts) add_choice();
    choice.push_back(parts ? parts->text : lines[i]);
  }
  add_choice();
  if (std::ssize(question.choices) > kMaxChoices)
    throw InputError("{}: expected 2 to {} choices, got {}", where, kMaxChoices,
                     question.choices.size());
  check_choices(question.choices, where);
  question.answer = find_answer(std::string(trim(answer)), question.choices, true, where);
  return question;
}

}  // namespace caprl
