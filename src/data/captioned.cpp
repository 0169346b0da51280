#include "data/captioned.h"

#include "caprl/core/error.h"
#include "data/made_rows.h"

namespace caprl {
namespace {

using nlohmann::json;

std::string text_at(const json& object, const char* key, const std::string& where) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string())
    throw InputError("{}: expected a text '{}', got {}", where, key, object.dump());
  return object[key];
}

std::string image_path(const json& row, const std::string& where) {
  const json image = row.value("image", json());
  const std::string path =
      text_at(image.is_object() ? image : row, image.is_object() ? "path" : "image", where);
  if (path.empty()) throw InputError("{}: image: the path is empty", where);
  return path;
}

std::vector<std::string> captions_of(const json& row, const std::string& where) {
  if (!row.contains("captions")) return {text_at(row, "caption", where)};
  if (!row["captions"].is_array() || row["captions"].empty())
    throw InputError("{}: captions: expected a list of captions, got {}", where,
                     row["captions"].dump());
  std::vector<std::string> texts;
  for (const json& caption : row["captions"]) {
    texts.push_back(text_at(caption, "text", where));
    if (caption.value("finish_reason", "") == "length")
      throw InputError("{}: caption {} was cut off at the longest length", where, texts.size());
  }
  return texts;
}

}  // namespace

std::vector<json> rows_of_captions(const json& row, const std::string& prompt,
                                   const std::string& where) {
  const json messages = json::array({made_message("user", prompt, image_path(row, where))});
  const json id = row.value("id", json());
  std::vector<json> rows;
  for (const std::string& caption : captions_of(row, where)) {
    if (caption.empty()) throw InputError("{}: caption {} is empty", where, rows.size() + 1);
    rows.push_back(
        {{"id", made_id(id, rows.size())}, {"messages", messages}, {"response", caption}});
  }
  return rows;
}

}  // namespace caprl
