// What the curator's model learns: questions about an image, answered in a word.
#pragma once
#include <nlohmann/json.hpp>

#include "image_set.h"

namespace caprl::demo {

/// A row of supervised training about any topic of the scene, asked as `caprl qa` asks. The answer
/// is the option's word where the image is shown or the question tells it, "unknown" elsewhere.
nlohmann::ordered_json draw_curator_row(const ImageSet& set, int64_t index, int64_t variant,
                                        const Scene& scene, Draws& draws);

}  // namespace caprl::demo
