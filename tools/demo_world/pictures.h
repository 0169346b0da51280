// Scenes as RGB pixels, pixels as PNG and JPEG files.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "scene.h"

namespace caprl::demo {

inline constexpr int64_t kSide = 56;  // pixels; four merged tokens of 28 x 28, one a quadrant

/// [kSide, kSide, 3]. Sizes, offsets and noise come from `draws`. The background's red grows
/// downwards and its blue to the right: positions inside the models are relative, and without an
/// absolute cue they learn places slowly or not at all.
std::vector<uint8_t> draw_picture(const Scene& scene, Draws& draws);

/// The file's bytes. Error if the library fails.
std::string encode_png(const std::vector<uint8_t>& pixels);
std::string encode_jpeg(const std::vector<uint8_t>& pixels);  // quality 95

}  // namespace caprl::demo
