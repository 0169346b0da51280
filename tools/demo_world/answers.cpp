#include "answers.h"

#include <map>
#include <string>

#include "caprl/core/error.h"
#include "caprl/io/jsonl.h"
#include "words.h"

namespace caprl::demo {

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
    const std::string response = line->value.at("response").get<std::string>();
    const bool right = found->second == response;
    const bool answerable = response != kAbstainLabel;
    (answerable ? count.num_answerable : count.num_unanswerable) += 1;
    (answerable ? count.num_right : count.num_abstained) += right;
  }
  return count;
}

}  // namespace caprl::demo
