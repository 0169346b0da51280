#include "tasks/eval/published_rows.h"

#include <algorithm>

#include "caprl/core/error.h"
#include "tasks/eval/forms.h"
#include "tasks/eval/row_values.h"
#include "tasks/scorers/answer_text.h"

namespace caprl {
namespace {

using namespace published;
using nlohmann::json;

void refuse_second_image(const json& row, const char* key) {
  if (row.contains(key) && !row[key].is_null())
    throw InputError("expected one image, got several ('{}')", key);
}

/// As the released evaluation chooses: by the file's name.
json scorers_by_name(const FileSource& source) {
  std::string name = source.path.filename().string();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name.find("info") != std::string::npos) return {"chart", "anls", "math"};
  if (name.find("char") != std::string::npos) return {"chart", "math"};
  return {"math"};
}

std::string between(const std::string& whole, std::string_view begin, std::string_view end) {
  const size_t first = whole.find(begin);
  if (first == std::string::npos) throw InputError("prompt: expected '{}', got none", begin);
  const size_t from = first + begin.size();
  return std::string(trim(std::string_view(whole).substr(from, whole.find(end, from) - from)));
}

/// Whether `all` goes on at `at`, after white space, with the label "B." or the like.
bool label_follows(std::string_view all, size_t at, char letter) {
  return trim(all.substr(at)).starts_with(fmt::format("{}.", letter));
}

/// "A. 200.96;B. 3215.36;  C. 32": one after another, the letters in order.
std::vector<std::string> split_options(const std::string& all) {
  std::vector<std::string> options;
  for (size_t begin = 0; begin < all.size();) {
    const char label = static_cast<char>('A' + options.size());
    if (!label_follows(all, begin, label))
      throw InputError("option: expected '{}. …', got '{}'", label, all.substr(begin));
    size_t end = all.find(';', begin);
    while (end != std::string::npos && !label_follows(all, end + 1, static_cast<char>(label + 1)))
      end = all.find(';', end + 1);
    end = std::min(end, all.size());
    std::string_view option = trim(std::string_view(all).substr(begin, end - begin)).substr(2);
    if (option.ends_with(';')) option.remove_suffix(1);
    options.emplace_back(trim(option));
    begin = end == all.size() ? end : end + 1;
  }
  return options;
}

/// The first image of messages as qwen_vl_utils takes them.
std::string image_of_messages(const json& messages) {
  for (const json& message : messages)
    for (const json& part : member(message, "content"))
      if (part.value("type", "") == "image") {
        const std::string path = text(part, "image");
        return path.starts_with("file://") ? path.substr(7) : path;
      }
  throw InputError("image: expected messages with an image, got none");
}

}  // namespace

std::vector<json> qa_rows(const json& row, const FileSource&) {
  std::vector<json> items;
  const json& questions = list(member(row, "reward_model"), "ground_truth");
  for (const json& question : questions) {
    json item = {{"question", text(question, "question")},
                 {"choices", list(question, "choices")},
                 {"answer", text(question, "answer")}};
    if (row.contains("image")) item["image"] = row["image"];
    if (row.contains("id")) item["id"] = fmt::format("{}-{}", text(row, "id"), items.size());
    if (row.contains("prompt")) item["prompt"] = row["prompt"];
    items.push_back(std::move(item));
  }
  if (items.empty()) throw InputError("reward_model.ground_truth: expected questions, got none");
  return items;
}

std::vector<json> prism_rows(const json& row, const FileSource& source) {
  const std::string path = image_of_messages(list(row, "image"));
  json item = {{"image", source.image({path, std::filesystem::path(path).filename()})},
               {"question", between(text(row, "prompt"), "<|vision_end|>", "<|im_end|>")},
               {"answer", text(row, "answer")},
               {"scorer", scorers_by_name(source)}};
  if (row.contains("id")) item["id"] = text(row, "id");
  return {item};
}

std::vector<json> vlmevalkit_rows(const json& row, const FileSource& source) {
  json item = {{"id", text(row, "index")}};
  if (row.contains("image")) {
    const std::string image = text(row, "image");
    if (image.starts_with('[')) throw InputError("expected one image, got several");
    item["image"] = {{"bytes", image}};
  } else {
    item["image"] = source.image({text(row, "image_path")});
  }
  const std::string hint = row.contains("hint") ? text(row, "hint") + "\n" : "";
  item["question"] = hint + text(row, "question");
  std::vector<std::string> options;
  for (char letter = 'A'; letter <= 'Z' && row.contains(std::string(1, letter)); ++letter)
    options.push_back(text(row, std::string(1, letter).c_str()));
  if (options.size() >= 2) {
    item["choices"] = labelled(options);
    item["answer"] = text(row, "answer");
  } else {
    item["answer"] = python_list(text(row, "answer"));
    item["scorer"] = scorers_by_name(source);
  }
  return {item};
}

std::vector<json> chartqa_rows(const json& row, const FileSource& source) {
  const std::string name = text(row, "imgname");
  return {{{"image", source.image({"png/" + name, name})},
           {"question", text(row, "query")},
           {"answer", text(row, "label")},
           {"scorer", {"chart", "math"}}}};
}

std::vector<json> chartqapro_rows(const json& row, const FileSource& source) {
  const auto questions = texts(list(row, "Question"), "Question"),
             answers = texts(list(row, "Answer"), "Answer");
  if (questions.empty() || questions.size() != answers.size())
    throw InputError("Question: expected as many as answers, {}, got {}", answers.size(),
                     questions.size());
  std::string asked;
  const json paragraph = row.value("Paragraph", json());
  if (paragraph.is_string() && !paragraph.get_ref<const std::string&>().empty())
    asked += paragraph.get<std::string>() + "\n";
  for (size_t i = 0; i + 1 < questions.size(); ++i)
    asked += questions[i] + "\n" + answers[i] + "\n";
  return {{{"image", image_of(row, "image", source)},
           {"question", asked + questions.back()},
           {"answer", answers.back()},
           {"scorer", {"chart", "math"}}}};
}

std::vector<json> charxiv_rows(const json& row, const FileSource& source) {
  const std::string name = text(row, "figure_id") + ".jpg";
  return {{{"id", text(row, "figure_id")},
           {"image", source.image({"images/" + name, "../images/" + name, name})},
           {"question", text(row, "query")},
           {"answer", text(row, "answer")},
           {"scorer", {"chart", "math"}}}};
}

std::vector<json> infovqa_rows(const json& row, const FileSource& source) {
  const std::string name = text(row, "image_local_name");
  return {{{"id", text(row, "questionId")},
           {"image", source.image({name, "images/" + name, "infographicsvqa_images/" + name})},
           {"question", text(row, "question")},
           {"answer", list(row, "answers")},
           {"scorer", {"chart", "anls", "math"}}}};
}

std::vector<json> mathverse_rows(const json& row, const FileSource& source) {
  const std::string question = text(row, "question");
  const bool has_letter = text(row, "question_type") == "multi-choice";
  return {{{"id", text(row, "sample_index")},
           {"benchmark", fmt::format("MathVerse {}", text(row, "problem_version"))},
           {"image", image_of(row, "image", source, {"images/", ""})},
           {"question", question.empty() ? text(row, "query_wo") : question},
           {"answer", text(row, "answer")},
           {"scorer", has_letter ? "choice" : "math"}}};
}

std::vector<json> mathvision_rows(const json& row, const FileSource& source) {
  // Parquet has the image beside its path.
  const bool is_embedded = row.contains("decoded_image") && !row["decoded_image"].is_null();
  json item = {
      {"id", text(row, "id")},
      {"image", is_embedded ? row["decoded_image"] : image_of(row, "image", source, {"", "../"})},
      {"question", text(row, "question")},
      {"answer", text(row, "answer")}};
  const json& options = list(row, "options");
  if (options.empty())
    item["scorer"] = "math";
  else
    item["choices"] = labelled(texts(options, "options"));
  return {item};
}

std::vector<json> mmmu_rows(const json& row, const FileSource& source) {
  refuse_second_image(row, "image_2");
  const bool is_shuffled = row.contains("shuffled_options");
  const auto options = listed(row, is_shuffled ? "shuffled_options" : "options");
  const std::string answer = text(row, is_shuffled ? "shuffled_options_answer" : "answer");
  json item = {{"id", text(row, "id")},
               {"image", image_of(row, "image_1", source)},
               {"question", text(row, "question")}};
  if (options.empty()) {
    item["answer"] = python_list(answer);
    item["scorer"] = "math";
  } else {
    item["choices"] = labelled(options);
    item["answer"] = answer;
  }
  return {item};
}

/// The options stand in the question.
std::vector<json> mmstar_rows(const json& row, const FileSource& source) {
  json item = {{"id", text(row, "index")},
               {"question", text(row, "question")},
               {"answer", text(row, "answer")},
               {"scorer", "choice"}};
  if (row.contains("image")) item["image"] = image_of(row, "image", source);
  return {item};
}

std::vector<json> seed_rows(const json& row, const FileSource& source) {
  if (text(row, "data_type") != "image") return {};
  const std::string name = text(row, "data_id");
  return {{{"id", text(row, "question_id")},
           {"image", source.image({"SEED-Bench-image/" + name, name})},
           {"question", text(row, "question")},
           {"choices", labelled({text(row, "choice_a"), text(row, "choice_b"),
                                 text(row, "choice_c"), text(row, "choice_d")})},
           {"answer", text(row, "answer")}}};
}

std::vector<json> visulogic_rows(const json& row, const FileSource& source) {
  json item = {{"image", source.image({text(row, "image_path")})},
               {"question", text(row, "question")},
               {"answer", text(row, row.contains("label") ? "label" : "answer")},
               {"scorer", "choice"}};
  if (row.contains("id")) item["id"] = text(row, "id");
  return {item};
}

std::vector<json> wemath_rows(const json& row, const FileSource& source) {
  const std::string image = text(row, "image_path");
  return {{{"id", text(row, "ID")},
           {"image", source.image({image, "../" + image, "images/" + image})},
           {"question", text(row, "question")},
           {"choices", labelled(split_options(text(row, "option")))},
           {"answer", text(row, "answer")}}};
}

}  // namespace caprl
