#include "questions.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace caprl::demo {
namespace {

constexpr int64_t kMinOptions = 3, kMaxOptions = 5;
constexpr double kNothingOption = 0.5;  // share of place questions that must offer "nothing"

/// The first `count` topics of a kind at occupied places, which are then used up.
void take(std::vector<Topic>& from, Topic::Kind kind, int64_t count, std::vector<Topic>& to) {
  for (auto topic = from.begin(); topic != from.end() && count > 0;) {
    if (topic->kind != kind) {
      ++topic;
      continue;
    }
    to.push_back(*topic);
    topic = from.erase(topic);
    --count;
  }
}

}  // namespace

std::string Topic::text() const {
  if (kind == Kind::kNumber) return "how many objects ?";
  return fmt::format("what {} is {} ?", kind == Kind::kColor ? "color" : "shape", kPlaces[place]);
}

std::string Topic::tell(std::string_view value) const {
  if (kind == Kind::kNumber) return fmt::format("{} {} .", value, kObjects);
  return fmt::format("{} {} .", kPlaces[place], value);
}

std::vector<std::string_view> Topic::values() const {
  if (kind == Kind::kNumber) return {kCounts.begin(), kCounts.end()};
  std::vector<std::string_view> values = {kNothing};
  const auto words = kind == Kind::kColor ? std::span<const std::string_view>(kColors) : kShapes;
  for (const std::string_view word : words) values.push_back(word);
  return values;
}

std::string_view Topic::truth(const Scene& scene) const {
  if (kind == Kind::kNumber) return kCounts[scene.num_objects() - 1];
  const auto& object = scene.places[place];
  if (!object) return kNothing;
  return kind == Kind::kColor ? kColors[object->color] : kShapes[object->shape];
}

std::optional<std::string_view> Topic::said(const Caption& caption) const {
  if (kind == Kind::kNumber) {
    if (!caption.num_objects) return std::nullopt;
    return kCounts[*caption.num_objects - 1];
  }
  const PlaceStatement* statement = caption.find(place);
  if (statement == nullptr) return std::nullopt;
  if (statement->is_empty) return kNothing;
  if (kind == Kind::kColor && statement->color) return kColors[*statement->color];
  if (kind == Kind::kShape && statement->shape) return kShapes[*statement->shape];
  return std::nullopt;
}

std::vector<Topic> all_topics() {
  std::vector<Topic> topics = {{Topic::Kind::kNumber, 0}};
  for (size_t place = 0; place < kPlaces.size(); ++place) {
    topics.push_back({Topic::Kind::kColor, place});
    topics.push_back({Topic::Kind::kShape, place});
  }
  return topics;
}

std::vector<std::string> draw_options(const Topic& topic, int64_t count,
                                      std::optional<std::string_view> wanted,
                                      std::optional<std::string_view> unwanted, Draws& draws) {
  std::vector<std::string_view> values = topic.values();
  if (unwanted) std::erase(values, *unwanted);
  draws.shuffle(values);
  const auto bring_forward = [&](std::string_view value) {
    const auto at = std::find(values.begin(), values.end(), value);
    if (at != values.end()) std::rotate(values.begin(), at, at + 1);
  };
  if (topic.kind != Topic::Kind::kNumber && draws.chance(kNothingOption)) bring_forward(kNothing);
  if (wanted) bring_forward(*wanted);
  values.resize(std::min(values.size(), static_cast<size_t>(count)));
  draws.shuffle(values);
  return {values.begin(), values.end()};
}

Question draw_question(const Topic& topic, const Scene& scene, Draws& draws) {
  const std::string_view truth = topic.truth(scene);
  const int64_t count = kMinOptions + draws.below(kMaxOptions - kMinOptions + 1);
  Question question{topic.text(), draw_options(topic, count, truth, std::nullopt, draws), 0};
  const auto place = std::find(question.choices.begin(), question.choices.end(), truth);
  question.answer = place - question.choices.begin();
  return question;
}

std::vector<Question> draw_questions(const Scene& scene, Draws& draws) {
  std::vector<Topic> occupied, empty, asked;
  for (const Topic& topic : all_topics()) {
    if (topic.kind == Topic::Kind::kNumber) {
      asked.push_back(topic);
    } else {
      (scene.places[topic.place] ? occupied : empty).push_back(topic);
    }
  }
  draws.shuffle(occupied);
  draws.shuffle(empty);
  take(occupied, Topic::Kind::kColor, 2, asked);
  take(occupied, Topic::Kind::kShape, 2, asked);
  asked.push_back(empty.empty() ? occupied.front() : empty.front());
  draws.shuffle(asked);
  std::vector<Question> questions;
  for (const Topic& topic : asked) questions.push_back(draw_question(topic, scene, draws));
  return questions;
}

}  // namespace caprl::demo
