#include "scene.h"

#include <algorithm>

namespace caprl::demo {

int64_t Scene::num_objects() const {
  return std::count_if(places.begin(), places.end(),
                       [](const auto& place) { return place.has_value(); });
}

Scene draw_scene(Draws& draws) {
  std::array<size_t, kPlaces.size()> order = {0, 1, 2, 3};
  draws.shuffle(order);
  const int64_t num_objects = 2 + draws.below(3);
  Scene scene;
  for (int64_t i = 0; i < num_objects; ++i)
    scene.places[order[i]] = Object{draws.below(kColors.size()), draws.below(kShapes.size())};
  return scene;
}

}  // namespace caprl::demo
