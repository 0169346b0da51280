#include "wire.h"

#include <optional>

#include "caprl/core/error.h"
#include "caprl/io/json.h"

namespace caprl {
namespace {

using nlohmann::json;

const json& member(const json& object, const char* key, std::string_view where) {
  if (!object.is_object())
    throw InputError("{}: expected an object, got {}", where, object.type_name());
  const auto found = object.find(key);
  if (found == object.end()) throw InputError("{}: '{}' is missing", where, key);
  return *found;
}

const json& list(const json& value, std::string_view where) {
  if (!value.is_array()) throw InputError("{}: expected a list, got {}", where, value.type_name());
  return value;
}

const json& pair(const json& value, std::string_view what, std::string_view where) {
  if (!value.is_array() || value.size() != 2)
    throw InputError("{}: expected {}, got {}", where, what,
                     value.is_array() ? fmt::format("a list of {}", value.size())
                                      : std::string(value.type_name()));
  return value;
}

const std::string& text(const json& value, std::string_view where) {
  if (!value.is_string()) throw InputError("{}: expected a text, got {}", where, value.type_name());
  return value.get_ref<const std::string&>();
}

/// For messages, which a value of another type may be too long for.
std::string number_or_type(const json& value) {
  return value.is_number() ? value.dump() : std::string(value.type_name());
}

uint64_t whole_number(const json& value, std::string_view where) {
  if (!value.is_number_unsigned())
    throw InputError("{}: expected a whole number from 0, got {}", where, number_or_type(value));
  return value.get<uint64_t>();
}

/// "" or one letter from A to I.
char letter(const json& value, std::string_view where) {
  const std::string& name = text(value, where);
  if (name.empty()) return 0;
  if (name.size() != 1 || name[0] < 'A' || name[0] > 'I')
    throw InputError("{}: expected a letter from A to I or '', got '{}'", where, name);
  return name[0];
}

std::string letter_text(char letter) { return letter ? std::string(1, letter) : std::string(); }

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// The same caption with the same questions is asked the same, whoever sends it and however often.
uint64_t content_id(const json& entry) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : dump(entry)) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

WireCaption parse_entry(const json& entry, const std::string& where) {
  pair(entry, "[caption, questions]", where);
  WireCaption caption;
  caption.caption = text(entry[0], where + "[0]");
  const json& questions = list(entry[1], where + "[1]");
  if (questions.empty())
    throw InputError("{}[1]: expected at least one question, got an empty list", where);
  for (size_t q = 0; q < questions.size(); ++q) {
    const std::string place = fmt::format("{}[1][{}]", where, q);
    pair(questions[q], "[question, answer]", place);
    caption.questions.push_back(parse_inline_question(text(questions[q][0], place + "[0]"),
                                                      text(questions[q][1], place + "[1]"), place));
  }
  caption.id = content_id(entry);
  return caption;
}

AskedQuestion parse_asked(const json& value, const std::string& where) {
  AskedQuestion asked;
  asked.text = text(member(value, "text", where), where + ".text");
  const std::string place = where + ".num_options";
  const uint64_t options = whole_number(member(value, "num_options", where), place);
  if (options < 2 || options > kMaxChoices + 1)
    throw InputError("{}: expected 2 to {}, got {}", place, kMaxChoices + 1, options);
  asked.num_options = static_cast<int64_t>(options);
  asked.right = letter(member(value, "right", where), where + ".right");
  asked.abstain = letter(member(value, "abstain", where), where + ".abstain");
  std::string choices = asked.labels();
  if (asked.abstain != 0) choices.pop_back();
  if (asked.abstain != 0 && asked.abstain <= choices.back())
    throw InputError("{}.abstain: expected a letter behind {} or '', got '{}'", where, choices,
                     asked.abstain);
  if (asked.right == 0 || asked.right > choices.back())
    throw InputError("{}.right: expected one of {}, got '{}'", where, choices,
                     letter_text(asked.right));
  return asked;
}

Answer parse_answer(const json& value, const std::string& where) {
  Answer answer;
  const json& valid = member(value, "valid", where);
  if (!valid.is_boolean())
    throw InputError("{}.valid: expected true or false, got {}", where, valid.type_name());
  answer.valid = valid.get<bool>();
  answer.output = text(member(value, "output", where), where + ".output");
  answer.given = letter(member(value, "given", where), where + ".given");
  const json& probability = member(value, "right_probability", where);
  if (probability.is_number()) answer.right_probability = probability.get<double>();
  if (!probability.is_number() || answer.right_probability < 0 || answer.right_probability > 1)
    throw InputError("{}.right_probability: expected a number from 0 to 1, got {}", where,
                     number_or_type(probability));
  return answer;
}

}  // namespace

std::vector<WireCaption> parse_get_reward(std::string_view body) {
  const json request = parse_json(body, "the request");
  const json& prompts = list(member(request, "prompts", "the request"), "prompts");
  std::vector<WireCaption> captions;
  for (size_t i = 0; i < prompts.size(); ++i)
    captions.push_back(parse_entry(prompts[i], fmt::format("prompts[{}]", i)));
  return captions;
}

std::string get_reward_answer(const std::vector<std::optional<double>>& rewards) {
  json values = json::array();
  for (const auto& reward : rewards) values.push_back(reward ? json(*reward) : json());
  return dump({{"rewards", std::move(values)}});
}

std::string answer_request(std::span<const Inquiry> inquiries) {
  json items = json::array();
  for (const Inquiry& inquiry : inquiries) {
    json questions = json::array();
    for (const AskedQuestion& asked : inquiry.questions)
      questions.push_back({{"text", asked.text},
                           {"num_options", asked.num_options},
                           {"right", letter_text(asked.right)},
                           {"abstain", letter_text(asked.abstain)}});
    items.push_back({{"caption", inquiry.caption},
                     {"prompt_id", inquiry.prompt_id},
                     {"sample", inquiry.sample},
                     {"seed", inquiry.key.seed},
                     {"step", inquiry.key.step},
                     {"questions", std::move(questions)}});
  }
  return dump({{"inquiries", std::move(items)}});
}

std::vector<Inquiry> parse_answer_request(std::string_view body) {
  const json request = parse_json(body, "the request");
  const json& items = list(member(request, "inquiries", "the request"), "inquiries");
  std::vector<Inquiry> inquiries;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string where = fmt::format("inquiries[{}]", i);
    const json& item = items[i];
    const auto number = [&](const char* key) {
      return whole_number(member(item, key, where), where + "." + key);
    };
    Inquiry& inquiry = inquiries.emplace_back();
    inquiry.caption = text(member(item, "caption", where), where + ".caption");
    inquiry.prompt_id = number("prompt_id");
    inquiry.sample = number("sample");
    inquiry.key = {number("seed"), number("step")};
    const json& questions = list(member(item, "questions", where), where + ".questions");
    if (questions.empty())
      throw InputError("{}.questions: expected at least one, got an empty list", where);
    for (size_t q = 0; q < questions.size(); ++q)
      inquiry.questions.push_back(
          parse_asked(questions[q], fmt::format("{}.questions[{}]", where, q)));
  }
  return inquiries;
}

std::string answers_to_json(const std::vector<std::vector<Answer>>& answers) {
  json lists = json::array();
  for (const auto& mine : answers) {
    json list = json::array();
    for (const Answer& answer : mine)
      list.push_back({{"valid", answer.valid},
                      {"output", answer.output},
                      {"given", letter_text(answer.given)},
                      {"right_probability", answer.right_probability}});
    lists.push_back(std::move(list));
  }
  return dump({{"answers", std::move(lists)}});
}

std::vector<std::vector<Answer>> parse_answers(std::string_view body,
                                               std::span<const Inquiry> inquiries) {
  const json reply = parse_json(body, "the answer");
  const json& lists = list(member(reply, "answers", "the answer"), "answers");
  if (lists.size() != inquiries.size())
    throw InputError("answers: expected {} lists, got {}", inquiries.size(), lists.size());
  std::vector<std::vector<Answer>> answers;
  for (size_t i = 0; i < lists.size(); ++i) {
    const std::string where = fmt::format("answers[{}]", i);
    const size_t expected = inquiries[i].questions.size();
    if (list(lists[i], where).size() != expected)
      throw InputError("{}: expected {} answers, got {}", where, expected, lists[i].size());
    auto& mine = answers.emplace_back();
    for (size_t q = 0; q < expected; ++q)
      mine.push_back(parse_answer(lists[i][q], fmt::format("{}[{}]", where, q)));
  }
  return answers;
}

}  // namespace caprl
