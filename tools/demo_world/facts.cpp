#include "facts.h"

#include <map>

#include "caprl/core/error.h"
#include "caprl/io/jsonl.h"

namespace caprl::demo {
namespace {

std::string string_at(const JsonLine& line, const char* key, const std::filesystem::path& file) {
  if (!line.value.is_object() || !line.value.contains(key) || !line.value[key].is_string())
    throw InputError("{}:{}: expected an object with a string '{}'", file.string(), line.number,
                     key);
  return line.value[key].get<std::string>();
}

/// The scene that a line's "caption", the full and true one, describes.
std::map<std::string, Scene> read_truth(const std::filesystem::path& file) {
  std::map<std::string, Scene> scenes;
  JsonlReader reader(file);
  while (const auto line = reader.next()) {
    const Caption caption = parse_caption(string_at(*line, "caption", file));
    Scene scene;
    for (size_t place = 0; place < kPlaces.size(); ++place) {
      const PlaceStatement* statement = caption.find(place);
      if (statement != nullptr && statement->color && statement->shape)
        scene.places[place] = Object{*statement->color, *statement->shape};
    }
    if (full_caption(scene).text() != caption.text())
      throw InputError("{}:{}: '{}' is no full caption", file.string(), line->number,
                       caption.text());
    scenes[string_at(*line, "id", file)] = scene;
  }
  return scenes;
}

}  // namespace

void FactCount::add(const FactCount& other) {
  num_captions += other.num_captions;
  num_facts += other.num_facts;
  num_true += other.num_true;
  num_malformed += other.num_malformed;
}

double FactCount::share() const {
  return num_facts == 0 ? 1.0 : static_cast<double>(num_true) / static_cast<double>(num_facts);
}

FactCount count_facts(const Caption& caption, const Scene& scene) {
  FactCount count{1, caption.num_malformed, 0, caption.num_malformed};
  const auto state = [&count](bool is_true) {
    ++count.num_facts;
    count.num_true += is_true;
  };
  if (caption.num_objects) state(*caption.num_objects == scene.num_objects());
  for (const PlaceStatement& statement : caption.places) {
    const auto& object = scene.places[statement.place];
    if (statement.color) state(object && object->color == *statement.color);
    if (statement.shape) state(object && object->shape == *statement.shape);
    if (!statement.color && !statement.shape) state(object.has_value() != statement.is_empty);
  }
  return count;
}

FactCount count_facts(const std::filesystem::path& captions, const std::filesystem::path& truth) {
  const std::map<std::string, Scene> scenes = read_truth(truth);
  FactCount total;
  JsonlReader reader(captions);
  while (const auto line = reader.next()) {
    const std::string id = string_at(*line, "id", captions);
    const auto scene = scenes.find(id);
    if (scene == scenes.end())
      throw InputError("{}:{}: id '{}' is not in {}", captions.string(), line->number, id,
                       truth.string());
    total.add(count_facts(parse_caption(string_at(*line, "caption", captions)), scene->second));
  }
  return total;
}

}  // namespace caprl::demo
