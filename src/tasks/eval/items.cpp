#include "tasks/eval/items.h"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "caprl/core/error.h"
#include "tasks/eval/forms.h"
#include "tasks/scorers/number.h"

namespace caprl {
namespace {

using nlohmann::json;

std::string text_of(const json& value, std::string_view what, const std::string& where) {
  if (value.is_number()) return value.dump();
  if (!value.is_string())
    throw InputError("{}: {}: expected a string, got {}", where, what, value.type_name());
  return value.get<std::string>();
}

const json& member(const json& item, const char* key, const std::string& where) {
  if (!item.is_object())
    throw InputError("{}: expected an object, got {}", where, item.type_name());
  const auto found = item.find(key);
  if (found == item.end()) throw InputError("{}: key '{}' is missing", where, key);
  return *found;
}

std::vector<std::string> answers_of(const json& item, const std::string& where) {
  const json& answer = member(item, "answer", where);
  std::vector<std::string> answers;
  if (answer.is_array())
    for (const json& one : answer) answers.push_back(text_of(one, "answer", where));
  else
    answers.push_back(text_of(answer, "answer", where));
  if (answers.empty()) throw InputError("{}: answer: expected a right answer, got none", where);
  for (const std::string& one : answers)
    if (one.find_first_not_of(" \t\r\n") == std::string::npos)
      throw InputError("{}: answer: expected a right answer, got an empty text", where);
  return answers;
}

std::vector<std::string> scorers_of(const json& item, bool has_choices, const std::string& where) {
  const auto found = item.find("scorer");
  if (found == item.end() && has_choices) return {"choice"};
  if (found == item.end())
    throw InputError("{}: key 'scorer' is missing, and there are no choices; expected one of {}",
                     where, scorer_names());
  std::vector<std::string> names;
  for (const json& name : found->is_array() ? *found : json::array({*found})) {
    names.push_back(text_of(name, "scorer", where));
    if (!find_scorer(names.back()))
      throw InputError("{}: scorer: expected one of {}, got '{}'", where, scorer_names(),
                       names.back());
  }
  if (names.empty()) throw InputError("{}: scorer: expected one or more, got an empty list", where);
  return names;
}

/// What a scorer cannot compare anything with would always be wrong.
void check_answers(const EvalItem& item, const std::string& where) {
  const bool asks_choice = item.scorers == std::vector<std::string>{"choice"};
  const bool asks_number = item.scorers == std::vector<std::string>{"numeric"};
  for (const std::string& answer : item.expected.answers) {
    const bool is_letter =
        answer.size() == 1 && std::isalpha(static_cast<unsigned char>(answer[0]));
    if (asks_choice && !is_letter)
      throw InputError("{}: answer: expected a letter, as there are no choices, got '{}'", where,
                       answer);
    if (asks_number && !parse_number(answer))
      throw InputError("{}: answer: expected a number, got '{}'", where, answer);
  }
}

double tolerance_of(const json& item, const std::string& where) {
  const auto found = item.find("tolerance");
  if (found == item.end()) return 0;
  if (!found->is_number() || found->get<double>() < 0)
    throw InputError("{}: tolerance: expected a number that is not negative, got {}", where,
                     found->dump());
  return found->get<double>();
}

}  // namespace

EvalItem parse_item(const json& value, const std::string& where,
                    const std::filesystem::path& folder, const std::string& benchmark,
                    const Tokenizer& tokenizer, const std::vector<ChatMessage>& prompt,
                    const StoredImage& image) {
  EvalItem item;
  const std::string question = text_of(member(value, "question", where), "question", where);
  const bool has_choices = value.contains("choices") && !value["choices"].is_null();
  item.scorers = scorers_of(value, has_choices, where);
  item.expected.tolerance = tolerance_of(value, where);
  item.expected.answers = answers_of(value, where);
  if (has_choices) {
    if (item.expected.answers.size() != 1)
      throw InputError("{}: answer: expected one, as there are choices, got {}", where,
                       item.expected.answers.size());
    item.expected.question = parse_question({{"question", question},
                                             {"choices", value["choices"]},
                                             {"answer", item.expected.answers.front()}},
                                            where, kMaxEvalChoices);
    const AskedQuestion asked = ask(*item.expected.question, 0, {}, {});
    item.expected.answers = {std::string(1, asked.right)};
    item.question = asked.text;
  } else {
    if (question.find_first_not_of(" \t\r\n") == std::string::npos)
      throw InputError("{}: question: expected a text, got an empty one", where);
    item.question = question;
    check_answers(item, where);
  }
  item.benchmark =
      value.contains("benchmark") ? text_of(value["benchmark"], "benchmark", where) : benchmark;
  item.image = parse_image_row(value, where, folder, tokenizer, prompt, image);
  item.id = item.image.id;
  return item;
}

EvalItems load_items(const EvalDataConfig& config, const Tokenizer& tokenizer) {
  if (const auto token = tokenizer.find_added_token(config.prompt))
    throw InputError("config: 'data.prompt': contains the reserved token '{}'; expected plain text",
                     *token);
  const std::vector<ChatMessage> prompt = {
      {"user", {{ChatPart::Kind::kImage, {}}, {ChatPart::Kind::kText, config.prompt}}}};
  EvalItems result;
  std::map<std::pair<std::string, std::string>, std::string> places;  // (benchmark, id) → where
  const auto add = [&](EvalItem item, const std::string& where) {
    const auto [known, is_new] = places.try_emplace({item.benchmark, item.id}, where);
    if (!is_new)
      throw InputError("{}: id '{}' of benchmark '{}' is that of {}, too", where, item.id,
                       item.benchmark, known->second);
    item.index = std::ssize(result.items);
    result.items.push_back(std::move(item));
  };
  for (const FileSource& source : file_sources(config.files, config.image_folder)) {
    const size_t before = result.items.size();
    read_file_items(source, [&](const RowPlace& place, const auto& make) {
      const bool used = use_row(config.bad_rows, [&] {
        std::vector<EvalItem> items;  // all of the row, or none
        for (const json& value : make())
          items.push_back(parse_item(value, place.where, source.folder, source.benchmark, tokenizer,
                                     prompt, place.image));
        for (EvalItem& item : items) add(std::move(item), place.where);
      });
      if (!used) result.num_bad += place.count;
    });
    if (result.items.size() == before)
      throw InputError("{}: expected items, got none that can be used", source.path.string());
  }
  return result;
}

}  // namespace caprl
