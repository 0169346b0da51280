#include "answers.h"

#include <algorithm>
#include <map>
#include <string>

#include "caprl/core/error.h"
#include "caprl/io/jsonl.h"
#include "words.h"

namespace caprl::demo {

namespace {

char letter_of(const std::string& text) {
  const auto found =
      std::find_if(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  return found == text.end() ? '\0' : *found;
}

}  // namespace

AnswerCount count_answers(const std::filesystem::path& expected,
                          const std::filesystem::path& given) {
  std::map<std::string, std::string> answers;
  JsonlReader given_lines(given);
  while (const auto line = given_lines.next())
    answers[line->value.at("id").get<std::string>()] = line->value.at("text").get<std::string>();
  AnswerCount count;
  JsonlReader lines(expected);
  while (const auto line = lines.next()) {
    const auto found = answers.find(line->value.at("id").get<std::string>());
    if (found == answers.end())
      throw InputError("{}:{}: {} has no answer with this id", expected.string(), line->number,
                       given.string());
    const char expected_letter = letter_of(line->value.at("response").get<std::string>());
    const bool right = letter_of(found->second) == expected_letter;
    const bool answerable = expected_letter != kAbstainLabel[0];
    (answerable ? count.num_answerable : count.num_unanswerable) += 1;
    (answerable ? count.num_right : count.num_abstained) += right;
  }
  return count;
}

}  // namespace caprl::demo
