#include "tasks/report/caption_group.h"

#include <cmath>
#include <map>
#include <string>

#include "caprl/core/error.h"

namespace caprl {
namespace {

using nlohmann::json;

/// "What is it?\nA) a dog\nB) a cat" by its parts. Options are looked for from the end: the
/// question itself may have lines that look like them.
json split_question(const std::string& asked, const std::string& labels) {
  json options = json::array();
  size_t end = asked.size();
  for (auto label = labels.rbegin(); label != labels.rend(); ++label) {
    const std::string mark = {'\n', *label, ')', ' '};
    const size_t begin =
        end < mark.size() ? std::string::npos : asked.rfind(mark, end - mark.size());
    if (begin == std::string::npos) return {{"text", asked}, {"options", json::array()}};
    const size_t text = begin + mark.size();
    options.insert(options.begin(),
                   json::array({std::string(1, *label), asked.substr(text, end - text)}));
    end = begin;
  }
  return {{"text", asked.substr(0, end)}, {"options", std::move(options)}};
}

/// The questions of a group, each as it was put; captions share what they were asked alike.
class Questions {
 public:
  /// `occurrence`: how often the caption was asked the same before.
  size_t place_of(const json& answer, size_t occurrence) {
    const std::string asked = answer.value("asked", std::string());
    const std::string key = fmt::format(
        "{} {} {}",
        asked.empty() ? answer.at("question").dump() + answer.at("order").dump() : asked,
        answer.value("right", std::string()), occurrence);
    const auto [place, is_new] = places_.try_emplace(key, questions_.size());
    if (!is_new) return place->second;
    json question = split_question(asked, answer.value("labels", std::string()));
    if (asked.empty())
      question["text"] =
          fmt::format("Question {} of the image", answer.at("question").get<int64_t>() + 1);
    question["right"] = answer.value("right", std::string());
    question["abstain"] = answer.value("abstain", std::string());
    questions_.push_back(std::move(question));
    return place->second;
  }
  json take() { return std::move(questions_); }

 private:
  json questions_ = json::array();
  std::map<std::string, size_t> places_;
};

json describe_answers(const json& record, Questions& questions) {
  json answers = json::array();
  std::map<std::string, size_t> counts;
  for (const json& answer : record.at("answers")) {
    const std::string asked = answer.value("asked", std::string()) + answer.at("question").dump() +
                              answer.at("order").dump();
    json one = {{"question", questions.place_of(answer, counts[asked]++)},
                {"given", answer.at("given")}};
    if (const std::string output = answer.value("output", std::string()); output != one["given"])
      one["output"] = output;
    if (const double p = answer.value("right_probability", 0.0); p > 0)
      one["probability"] = std::round(p * 1e4) / 1e4;
    if (!answer.value("valid", true)) one["invalid"] = true;
    answers.push_back(std::move(one));
  }
  return answers;
}

/// Tokens with their log-probabilities, or the text alone where the record does not tell them.
void add_text(const json& record, json& caption) {
  const std::string text = record.at("caption");
  const json& logprobs = record.at("logprobs");
  caption["num_tokens"] = logprobs.size();
  json tokens = json::array();
  size_t begin = 0;
  if (const auto bytes = record.find("token_bytes");
      bytes != record.end() && bytes->size() == logprobs.size())
    for (const json& count : *bytes) {
      tokens.push_back(begin < text.size() ? text.substr(begin, count.get<size_t>()) : "");
      begin += count.get<size_t>();
    }
  if (tokens.empty() || begin != text.size()) {
    caption["text"] = text;
    return;
  }
  caption["tokens"] = std::move(tokens);
  for (const json& value : logprobs)
    caption["logprobs"].push_back(std::round(value.get<double>() * 1e3) / 1e3);
}

json describe_caption(const json& record, Questions& questions) {
  json caption = {{"reward", record.at("reward")},
                  {"advantage", record.at("advantage")},
                  {"right", record.at("num_right")},
                  {"asked", record.at("num_asked")},
                  {"stopped", record.value("stopped", true)},
                  {"answers", describe_answers(record, questions)}};
  if (const auto terms = record.find("terms"); terms != record.end() && !terms->empty())
    caption["terms"] = *terms;
  add_text(record, caption);
  return caption;
}

}  // namespace

json describe_group(const std::vector<json>& records, Thumbnails& images) {
  const json& first = records.front();
  json group = {{"step", first.at("step")}, {"id", first.at("id")}, {"captions", json::array()}};
  Questions questions;
  for (const json& record : records)
    group["captions"].push_back(describe_caption(record, questions));
  group["questions"] = questions.take();
  const auto path = first.find("image");
  if (path == first.end() || path->is_null()) {
    group["no_image"] = path == first.end() ? "The run's records do not name the image."
                                            : "The image is embedded in its data file.";
    return group;
  }
  const Thumbnail& image = images.of(path->get<std::string>());
  if (image.index)
    group["image"] = *image.index;
  else
    group["no_image"] = image.why;
  return group;
}

void leave_out_tokens(json& group) {
  for (json& caption : group["captions"]) {
    if (!caption.contains("tokens")) continue;
    std::string text;
    for (const json& token : caption["tokens"]) text += token.get<std::string>();
    caption["text"] = text;
    caption.erase("tokens");
    caption.erase("logprobs");
  }
}

}  // namespace caprl
