// The demonstration's images: their scenes, files, and rows about them.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "scene.h"

namespace caprl::demo {

struct ImageSet {
  std::string name;  // of the folder and the rows' ids
  Split scenes;
  int64_t size;
};

std::string image_id(const ImageSet& set, int64_t index);
/// Relative to the data's folder.
std::string image_path(const ImageSet& set, int64_t index);

/// Draws the picture and writes its file, PNG and JPEG in turn; the scene.
Scene write_image(const std::filesystem::path& dir, const ImageSet& set, int64_t index,
                  uint64_t seed);

/// One user turn.
nlohmann::ordered_json user_turn(const nlohmann::ordered_json& content);
/// A row of supervised training: the image, `text` after it, and the response.
nlohmann::ordered_json image_row(const ImageSet& set, int64_t index, int64_t variant,
                                 std::string_view text, const std::string& response);

/// work(image, variant, its scene, draws of `split`) for so many variants of every image.
void for_each_variant(const ImageSet& set, int64_t per_image, Split split, uint64_t seed,
                      const std::function<void(int64_t, int64_t, const Scene&, Draws&)>& work);

}  // namespace caprl::demo
