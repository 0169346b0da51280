#include "caprl/reward/question.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "caprl/core/error.h"

namespace caprl {
namespace {

using Json = nlohmann::json;

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

/// 0 for A or a, 1 for B or b, …; absent for what cannot label a choice.
std::optional<int64_t> letter_index(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c < 'A' || c >= 'A' + kMaxChoices) return std::nullopt;
  return c - 'A';
}

struct Labelled {
  int64_t label;
  std::string_view text;
};

/// "A) red", "(A) red", "A. red" → {0, "red"}. A full stop counts only before a space or the end
/// ("A.M." is no label).
std::optional<Labelled> split_label(std::string_view text) {
  const bool open = text.starts_with('(');
  const std::string_view rest = text.substr(open ? 1 : 0);
  if (rest.size() < 2) return std::nullopt;
  const auto label = letter_index(rest[0]);
  const bool stop =
      !open && rest[1] == '.' && (rest.size() == 2 || trim(rest.substr(2, 1)).empty());
  if (!label || !(rest[1] == ')' || stop)) return std::nullopt;
  return Labelled{*label, trim(rest.substr(2))};
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

std::vector<std::string> choice_texts(const Json& item, std::string_view where) {
  const Json& choices = member(item, "choices", where);
  if (!choices.is_array())
    throw InputError("{}: 'choices' of a question: expected a list of strings, got {}", where,
                     choices.type_name());
  const auto count = static_cast<int64_t>(choices.size());
  if (count < 2 || count > kMaxChoices)
    throw InputError("{}: 'choices' of a question: expected 2 to {} choices, got {}", where,
                     kMaxChoices, count);
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
bool strip_labels(std::vector<std::string>& texts, std::string_view where) {
  // "(a)" alone is a choice ("which panel?"), not a label without a text.
  const auto has_label = [](const std::string& text) {
    const auto parts = split_label(text);
    return parts && !(parts->text.empty() && text.starts_with('('));
  };
  if (std::none_of(texts.begin(), texts.end(), has_label)) return false;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto parts = split_label(texts[i]);
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
  std::optional<Labelled> parts = split_label(answer);
  if (!parts && answer.size() == 1)
    if (const auto letter = letter_index(answer[0])) parts = Labelled{*letter, {}};
  if (!parts || parts->label >= count) return std::nullopt;
  if (!parts->text.empty() && parts->text != choices[parts->label]) return std::nullopt;
  return parts->label;
}

}  // namespace

Question parse_question(const Json& item, std::string_view where) {
  if (!item.is_object())
    throw InputError("{}: a question: expected an object, got {}", where, item.type_name());
  Question question;
  question.text = string_member(item, "question", where);
  if (question.text.empty()) throw InputError("{}: 'question' of a question is empty", where);
  question.choices = choice_texts(item, where);
  const bool labelled = strip_labels(question.choices, where);
  check_choices(question.choices, where);

  const std::string answer = string_member(item, "answer", where);
  const auto letter = answer_by_letter(answer, question.choices);
  const auto text = std::find(question.choices.begin(), question.choices.end(), answer);
  const bool is_text = text != question.choices.end();
  if (!letter && !is_text)
    throw InputError("{}: the answer '{}' of a question is none of its {} choices", where, answer,
                     question.choices.size());
  const int64_t text_index = text - question.choices.begin();
  // Labels make a letter mean the label; without them it may as well be a choice's text.
  if (letter && is_text && *letter != text_index && !labelled)
    throw InputError("{}: the answer '{}' of a question may mean choice {} or choice {}", where,
                     answer, *letter + 1, text_index + 1);
  question.answer = letter ? *letter : text_index;
  return question;
}

}  // namespace caprl
