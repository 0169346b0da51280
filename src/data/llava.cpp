#include "data/llava.h"

#include "caprl/core/error.h"
#include "data/made_rows.h"

namespace caprl {
namespace {

using nlohmann::json;

constexpr std::string_view kImage = "<image>";
constexpr const char* kBlank = " \t\r\n";

std::string text_of(const json& object, const char* key, const std::string& where) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string())
    throw InputError("{}: conversations: expected a text '{}' in every turn, got {}", where, key,
                     object.dump());
  return object[key];
}

std::string stripped(const std::string& text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

/// How often the image's mark stood in the text, from which it is taken.
int take_marks(std::string& text) {
  int count = 0;
  for (size_t at; (at = text.find(kImage)) != std::string::npos; ++count)
    text.erase(at, kImage.size());
  if (count > 0) text = stripped(text);
  return count;
}

/// The turns of one row, read one after another.
class Conversation {
 public:
  Conversation(const json& row, const std::string& where) : where_(where) {
    if (row.contains("image") && !row["image"].is_null()) {
      if (!row["image"].is_string())
        throw InputError("{}: image: expected one path, got {}", where, row["image"].dump());
      image_ = row["image"];
    }
  }

  void ask(std::string text) {
    if (asked_) throw InputError("{}: conversations: two questions without an answer", where_);
    const int marks = take_marks(text);
    if (marks > 0 && image_.is_null())
      throw InputError("{}: conversations: <image> in a row without an image", where_);
    if (marks > 1 || (marks > 0 && shown_))
      throw InputError("{}: conversations: <image> stands more than once", where_);
    messages_.push_back(made_message("user", text, marks > 0 ? image_ : json()));
    shown_ = shown_ || marks > 0;
    asked_ = true;
  }

  /// The row of this answer.
  json answer(const json& id, const std::string& text) {
    if (!asked_) throw InputError("{}: conversations: an answer without a question", where_);
    json row = {{"id", id}, {"messages", messages_}, {"response", text}};
    messages_.push_back(made_message("assistant", text));
    asked_ = false;
    return row;
  }

  void say_first(const std::string& text) {
    if (!messages_.empty()) throw InputError("{}: conversations: system is not first", where_);
    messages_.push_back(made_message("system", text));
  }

  void check_end() const {
    if (asked_) throw InputError("{}: conversations: the last question has no answer", where_);
    if (!image_.is_null() && !shown_)
      throw InputError("{}: conversations: no question has the row's image: expected <image>",
                       where_);
  }

 private:
  const std::string& where_;
  json image_, messages_ = json::array();
  bool asked_ = false, shown_ = false;
};

}  // namespace

std::vector<json> rows_of_llava(const json& row, const std::string& where) {
  if (!row.contains("conversations") || !row["conversations"].is_array())
    throw InputError("{}: expected 'conversations', a list of turns", where);
  Conversation conversation(row, where);
  std::vector<json> rows;
  for (const json& turn : row["conversations"]) {
    const std::string from = text_of(turn, "from", where), value = text_of(turn, "value", where);
    if (from == "human" || from == "user") {
      conversation.ask(value);
    } else if (from == "gpt" || from == "assistant") {
      rows.push_back(conversation.answer(made_id(row.value("id", json()), rows.size()), value));
    } else if (from == "system") {
      conversation.say_first(value);
    } else {
      throw InputError("{}: conversations: 'from': expected human, gpt or system, got '{}'", where,
                       from);
    }
  }
  conversation.check_end();
  if (rows.empty()) throw InputError("{}: conversations: there is no answer", where);
  return rows;
}

}  // namespace caprl
