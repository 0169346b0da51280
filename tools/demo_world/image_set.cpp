#include "image_set.h"

#include <fmt/format.h>

#include "output_file.h"
#include "pictures.h"

namespace caprl::demo {

using json = nlohmann::ordered_json;

std::string image_id(const ImageSet& set, int64_t index) {
  return fmt::format("{}-{:06}", set.name, index);
}

std::string image_path(const ImageSet& set, int64_t index) {
  return fmt::format("images/{}/{:06}.{}", set.name, index, index % 2 == 0 ? "png" : "jpg");
}

Scene write_image(const std::filesystem::path& dir, const ImageSet& set, int64_t index,
                  uint64_t seed) {
  Draws draws(seed, set.scenes, index);
  const Scene scene = draw_scene(draws);  // the picture's draws follow in the same sequence
  const std::vector<uint8_t> pixels = draw_picture(scene, draws);
  OutputFile file(dir / image_path(set, index));
  file.write(index % 2 == 0 ? encode_png(pixels) : encode_jpeg(pixels));
  file.close();
  return scene;
}

json user_turn(const json& content) {
  return json::array({{{"role", "user"}, {"content", content}}});
}

json image_row(const ImageSet& set, int64_t index, int64_t variant, std::string_view text,
               const std::string& response) {
  const json content = json::array(
      {{{"type", "image"}, {"image", image_path(set, index)}}, {{"type", "text"}, {"text", text}}});
  return {{"id", fmt::format("{}-{}", image_id(set, index), variant)},
          {"messages", user_turn(content)},
          {"response", response}};
}

void for_each_variant(const ImageSet& set, int64_t per_image, Split split, uint64_t seed,
                      const std::function<void(int64_t, int64_t, const Scene&, Draws&)>& work) {
  constexpr int64_t kMaxVariants = 1 << 20;
  for (int64_t i = 0; i < set.size; ++i) {
    Draws scene_draws(seed, set.scenes, i);
    const Scene scene = draw_scene(scene_draws);
    for (int64_t variant = 0; variant < per_image; ++variant) {
      Draws draws(seed, split, i * kMaxVariants + variant);
      work(i, variant, scene, draws);
    }
  }
}

}  // namespace caprl::demo
