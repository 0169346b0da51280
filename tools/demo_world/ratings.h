// Captions for a judge of whole captions, and what they are worth.
#pragma once
#include <cstdint>
#include <string>

#include "captions.h"

namespace caprl::demo {

/// From captions that say almost nothing to full ones, from true ones to false ones; half of them
/// leave nothing out. Some have slips: wrong words, or words in wrong places.
std::string draw_rated_caption(const Scene& scene, Draws& draws);

/// 5 for the full and true caption, 1 where nothing true is said: what is truly said, as a share of
/// all there is to say and what is said wrongly.
int64_t rating(const Caption& caption, const Scene& scene);

}  // namespace caprl::demo
