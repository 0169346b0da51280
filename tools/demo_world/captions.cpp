#include "captions.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <sstream>

namespace caprl::demo {
namespace {

template <size_t N>
std::optional<int64_t> index_of(const std::array<std::string_view, N>& words,
                                std::string_view word) {
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) return std::nullopt;
  return found - words.begin();
}

std::string describe(const PlaceStatement& statement) {
  if (statement.is_empty) return std::string(kNothing);
  std::string text;
  if (statement.color) text += kColors[*statement.color];
  if (statement.color && statement.shape) text += ' ';
  if (statement.shape) text += kShapes[*statement.shape];
  return text.empty() ? std::string(kThing) : text;
}

/// What follows a place; absent if the grammar does not have it.
std::optional<PlaceStatement> parse_description(size_t place, std::span<const std::string> words) {
  PlaceStatement statement{place, false, {}, {}};
  if (words.size() == 1 && words[0] == kThing) return statement;
  if (words.size() == 1 && words[0] == kNothing) {
    statement.is_empty = true;
    return statement;
  }
  if (!words.empty()) statement.color = index_of(kColors, words.front());
  if (!words.empty()) statement.shape = index_of(kShapes, words.back());
  const size_t understood = statement.color.has_value() + statement.shape.has_value();
  if (words.empty() || understood != words.size()) return std::nullopt;
  return statement;
}

void parse_sentence(std::span<const std::string> words, Caption& caption) {
  if (words.size() == 2 && words[1] == kObjects && !caption.has_opening) {
    const auto count = index_of(kCounts, words[0]);
    if (count || words[0] == kSome) {
      caption.has_opening = true;
      if (count) caption.num_objects = *count + 1;
      return;
    }
  }
  const auto place = index_of(kPlaces, words[0]);
  const auto statement =
      place ? parse_description(static_cast<size_t>(*place), words.subspan(1)) : std::nullopt;
  if (statement) {
    caption.places.push_back(*statement);
  } else {
    ++caption.num_malformed;
  }
}

int64_t other_than(int64_t value, int64_t count, Draws& draws) {
  return (value + 1 + draws.below(count - 1)) % count;
}

}  // namespace

std::string Caption::text() const {
  std::string text;
  if (has_opening)
    text = fmt::format("{} {} .", num_objects ? kCounts[*num_objects - 1] : kSome, kObjects);
  for (const PlaceStatement& statement : places)
    text += fmt::format("{}{} {} .", text.empty() ? "" : " ", kPlaces[statement.place],
                        describe(statement));
  return text;
}

const PlaceStatement* Caption::find(size_t place) const {
  const auto found = std::find_if(places.begin(), places.end(),
                                  [&](const PlaceStatement& s) { return s.place == place; });
  return found == places.end() ? nullptr : &*found;
}

Caption parse_caption(std::string_view text) {
  Caption caption;
  caption.has_opening = false;
  std::vector<std::string> sentence;
  const auto finish = [&] {
    if (!sentence.empty()) parse_sentence(sentence, caption);
    sentence.clear();
  };
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    if (word == ".") {
      finish();
    } else {
      sentence.push_back(word);
    }
  }
  finish();
  return caption;
}

Caption full_caption(const Scene& scene) {
  Caption caption;
  caption.num_objects = scene.num_objects();
  for (size_t place = 0; place < kPlaces.size(); ++place) {
    const auto& object = scene.places[place];
    PlaceStatement statement{place, !object, {}, {}};
    if (object) statement.color = object->color, statement.shape = object->shape;
    caption.places.push_back(statement);
  }
  return caption;
}

Caption vague_caption(const Scene& scene, const Vagueness& vagueness, Draws& draws) {
  Caption caption;
  if (draws.chance(vagueness.number)) {
    const int64_t true_index = scene.num_objects() - 2;  // scenes have two to four objects
    caption.num_objects =
        2 + (draws.chance(vagueness.wrong) ? other_than(true_index, 3, draws) : true_index);
  }
  for (size_t place = 0; place < kPlaces.size(); ++place) {
    auto object = scene.places[place];
    if (!draws.chance(object ? vagueness.object : vagueness.empty)) continue;
    PlaceStatement statement{place, false, {}, {}};
    const bool invented = !object && draws.chance(vagueness.wrong);
    if (invented) object = Object{draws.below(kColors.size()), draws.below(kShapes.size())};
    if (!object) {
      statement.is_empty = true;
    } else {
      const double kind = draws.uniform();
      const bool both = kind >= vagueness.color_only + vagueness.shape_only &&
                        kind < vagueness.color_only + vagueness.shape_only + vagueness.both;
      const auto value = [&](int64_t true_value, int64_t count) {
        return draws.chance(vagueness.wrong) ? other_than(true_value, count, draws) : true_value;
      };
      if (both || kind < vagueness.color_only)
        statement.color = value(object->color, kColors.size());
      const bool shape_only =
          kind >= vagueness.color_only && kind < vagueness.color_only + vagueness.shape_only;
      if (both || shape_only) statement.shape = value(object->shape, kShapes.size());
    }
    caption.places.push_back(statement);
  }
  return caption;
}

}  // namespace caprl::demo
