#include "tasks/qa/items.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "caprl/core/error.h"
#include "caprl/core/excerpt.h"

namespace caprl {
namespace {

using nlohmann::json;
constexpr size_t kExcerpt = 120;

bool is_set(const json& row, const char* key) { return row.contains(key) && !row[key].is_null(); }

std::string text_of(const json& item, const char* key) {
  if (!item.is_object() || !item.contains(key) || !item[key].is_string())
    throw InputError("question: expected a text '{}'", key);
  return item[key].get<std::string>();
}

Question inline_question(const json& item) {
  return parse_inline_question(text_of(item, "question"), text_of(item, "answer"), "question");
}
Question plain_question(const json& item) { return parse_question(item, "question"); }

Extraction each(const json& items, const char* key, Question (*parse)(const json&)) {
  if (!items.is_array())
    throw InputError("{}: expected a list of questions, got {}", key, items.type_name());
  Extraction result;
  int64_t number = 0;
  for (const json& item : items) {
    ++number;
    try {
      result.questions.push_back(parse(item));
    } catch (const InputError& error) {
      const bool has_text =
          item.is_object() && item.contains("question") && item["question"].is_string();
      result.malformed.push_back(
          {number,
           has_text ? excerpt(item["question"].get_ref<const std::string&>(), kExcerpt) : "",
           error.what()});
    }
  }
  return result;
}

/// The added token in a question's texts.
std::optional<std::string> added_token(const Question& question, const Tokenizer& tokenizer) {
  if (const auto token = tokenizer.find_added_token(question.text)) return std::string(*token);
  for (const std::string& choice : question.choices)
    if (const auto token = tokenizer.find_added_token(choice)) return std::string(*token);
  return std::nullopt;
}

}  // namespace

void adapt_qa_row(json& row) {
  if (!row.is_object()) return;
  if (!is_set(row, "image") && is_set(row, "image_path")) row["image"] = row["image_path"];
  row.erase("prompt");
}

Extraction given_questions(const json& row) {
  if (is_set(row, "qa_response")) {
    if (!row["qa_response"].is_string())
      throw InputError("qa_response: expected a text, got {}", row["qa_response"].type_name());
    return extract_questions(row["qa_response"].get_ref<const std::string&>());
  }
  if (is_set(row, "qa_list")) return each(row["qa_list"], "qa_list", inline_question);
  if (is_set(row, "questions")) return each(row["questions"], "questions", plain_question);
  if (is_set(row, "reward_model") && row["reward_model"].is_object() &&
      is_set(row["reward_model"], "ground_truth"))
    return each(row["reward_model"]["ground_truth"], "reward_model.ground_truth", plain_question);
  throw InputError(
      "expected questions: one of the keys qa_response, qa_list, questions and "
      "reward_model.ground_truth");
}

void refuse_added_tokens(Extraction& extraction, const Tokenizer& tokenizer) {
  std::erase_if(extraction.questions, [&](const Question& question) {
    const auto token = added_token(question, tokenizer);
    if (token)
      extraction.malformed.push_back(
          {0, excerpt(question.text, kExcerpt),
           fmt::format("it contains the reserved token '{}'; expected plain text", *token)});
    return token.has_value();
  });
}

}  // namespace caprl
