// Captions of the demonstration, as statements and as text:
//   three objects . topleft red circle . topright nothing . bottomleft blue . bottomright thing .
// First the number of objects, or "some objects ."; then any places, in reading order, each with a
// colour, a shape, both, "thing" (an object), or "nothing" (an empty place). What is left out is
// not said: a place without a sentence may hold anything, so a caption earns the question about an
// empty place only by the sentence that it is empty.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "scene.h"

namespace caprl::demo {

struct PlaceStatement {
  size_t place = 0;  // index into kPlaces
  bool is_empty = false;
  std::optional<int64_t> color, shape;  // neither, and not empty: "thing"
};

struct Caption {
  bool has_opening = true;  // a sentence on the number, if only "some objects ."
  std::optional<int64_t> num_objects;
  std::vector<PlaceStatement> places;
  int64_t num_malformed = 0;  // sentences of a parsed text that the grammar does not have

  std::string text() const;
  /// The first sentence about the place; later ones do not count.
  const PlaceStatement* find(size_t place) const;
};

/// Any text, sentence by sentence; an unfinished last sentence counts as a sentence.
Caption parse_caption(std::string_view text);

/// Everything there is to say, all of it true.
Caption full_caption(const Scene& scene);

/// How much a vague caption says. Probabilities.
struct Vagueness {
  double number = 0.5;                                       // states the number
  double object = 0.8;                                       // an object's place is mentioned
  double empty = 0.4;                                        // an empty place is mentioned
  double color_only = 0.40, shape_only = 0.35, both = 0.20;  // the rest: "thing"
  double wrong = 0.1;                                        // each value given is another one
};
Caption vague_caption(const Scene& scene, const Vagueness& vagueness, Draws& draws);

}  // namespace caprl::demo
