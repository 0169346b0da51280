// What there is to see: two to four objects in distinct quadrants of a small image.
#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "draws.h"
#include "words.h"

namespace caprl::demo {

struct Object {
  int64_t color = 0;  // index into kColors
  int64_t shape = 0;  // index into kShapes
};

struct Scene {
  std::array<std::optional<Object>, kPlaces.size()> places;

  int64_t num_objects() const;
};

Scene draw_scene(Draws& draws);

}  // namespace caprl::demo
