// smart_resize and pixel values against both of transformers' processors.
#include <cmath>

#include "test_support.h"

namespace caprl {
namespace {

TEST(SmartResize, EqualsTransformers) {
  const auto tables = read_json(image_data("smart_resize.json"));
  ASSERT_GE(tables.size(), 4u);
  for (const auto& table : tables) {
    PatchConfig config;
    config.patch_size = table["patch_size"].get<int64_t>();
    config.merge_size = table["merge_size"].get<int64_t>();
    config.min_pixels = table["min_pixels"].get<int64_t>();
    config.max_pixels = table["max_pixels"].get<int64_t>();
    ASSERT_GE(table["rows"].size(), 300u);
    for (const auto& row : table["rows"]) {
      const ImageSize size = smart_resize(row[0].get<int64_t>(), row[1].get<int64_t>(), config);
      EXPECT_EQ(size.width, row[2].get<int64_t>()) << row.dump();
      EXPECT_EQ(size.height, row[3].get<int64_t>()) << row.dump();
    }
  }
}

TEST(SmartResize, RoundsHalfToEven) {
  const PatchConfig config;
  EXPECT_EQ(smart_resize(70, 98, config).width, 56);    // 2.5 → 2
  EXPECT_EQ(smart_resize(70, 98, config).height, 112);  // 3.5 → 4
}

PatchConfig config_of(const nlohmann::json& options) {
  PatchConfig config;
  config.max_pixels = options.value("max_pixels", int64_t{1003520});
  config.min_pixels = options.value("min_pixels", config.min_pixels);
  config.patch_size = options.value("patch_size", config.patch_size);
  config.merge_size = options.value("merge_size", config.merge_size);
  config.temporal_patch_size = options.value("temporal_patch_size", config.temporal_patch_size);
  for (int c = 0; c < 3; ++c) {
    if (options.contains("image_mean")) config.mean[c] = options["image_mean"][c].get<float>();
    if (options.contains("image_std")) config.std[c] = options["image_std"][c].get<float>();
  }
  return config;
}

struct Distance {
  double mean = 0, max = 0;
};

Distance distance(const ImagePatches& patches, int64_t every, const nlohmann::json& part,
                  const std::string& values) {
  Distance result;
  const auto count = part["count"].get<int64_t>();
  EXPECT_EQ(count, (static_cast<int64_t>(patches.values.size()) + every - 1) / every);
  for (int64_t i = 0; i < count; ++i) {
    float expected;
    std::memcpy(&expected, &values[part["offset"].get<size_t>() + 4 * i], 4);
    const double difference = std::abs(double{patches.values[i * every]} - expected);
    result.mean += difference / static_cast<double>(count);
    result.max = std::max(result.max, difference);
  }
  return result;
}

TEST(Patches, EqualTransformersProcessors) {
  const auto cases = read_json(image_data("patches.json"));
  const std::string values = read_file(image_data("patches.f32"));
  ASSERT_GE(cases.size(), 6u);
  for (const auto& row : cases) {
    SCOPED_TRACE(row.dump());
    const RgbImage image = lcg_image(row["size"][0].get<int64_t>(), row["size"][1].get<int64_t>(),
                                     row["seed"].get<uint32_t>());
    const ImagePatches patches = make_patches(image, config_of(row["options"]));
    ASSERT_EQ(patches.grid_t, row["grid"][0].get<int64_t>());
    ASSERT_EQ(patches.grid_h, row["grid"][1].get<int64_t>());
    ASSERT_EQ(patches.grid_w, row["grid"][2].get<int64_t>());
    ASSERT_EQ(patches.values.size(), static_cast<size_t>(patches.rows() * patches.columns));
    EXPECT_EQ(count_patches({image.width, image.height}, config_of(row["options"])),
              patches.rows());
    const auto every = row["every"].get<int64_t>();
    const Distance slow = distance(patches, every, row["slow"], values);
    const Distance fast = distance(patches, every, row["fast"], values);
    std::printf("%ldx%ld: max |caprl - slow| %.3g, |caprl - fast| mean %.3g max %.3g\n",
                image.width, image.height, slow.max, fast.mean, fast.max);
    EXPECT_LE(slow.max, 1e-6);
    EXPECT_LE(fast.mean, 5e-3);
    // torchvision rounds otherwise by a grey level, and always resizes rows first: up to 17 levels
    // on noise where Pillow 13 starts with the columns.
    const bool columns_first = 14 * patches.grid_w == 308;
    EXPECT_LE(fast.max, columns_first ? 0.3 : 0.02);
  }
}

TEST(Patches, LayoutIsMergeBlockOrder) {
  // Every pixel of a patch carries the patch's place, so that rows can be recognised.
  PatchConfig config;
  config.patch_size = 2, config.merge_size = 2, config.min_pixels = 16;
  for (int c = 0; c < 3; ++c) config.mean[c] = 0, config.std[c] = 1.0f / 255;
  RgbImage image{12, 8, std::vector<uint8_t>(3 * 12 * 8)};
  for (int64_t y = 0; y < 8; ++y)
    for (int64_t x = 0; x < 12; ++x)
      for (int64_t c = 0; c < 3; ++c)
        image.pixels[3 * (12 * y + x) + c] =
            static_cast<uint8_t>(10 * ((y / 2) * 6 + x / 2) + 4 * c / 3 * 3 + 2 * (y % 2) + x % 2);
  const ImagePatches patches = make_patches(image, config);
  ASSERT_EQ(patches.grid_h, 4);
  ASSERT_EQ(patches.grid_w, 6);
  ASSERT_EQ(patches.columns, 3 * 2 * 2 * 2);
  const int64_t order[8] = {0, 1, 6, 7, 2, 3, 8, 9};  // the first two blocks
  for (int64_t row = 0; row < 8; ++row) {
    for (int64_t column = 0; column < patches.columns; ++column) {
      const int64_t c = column / 8, y = column / 2 % 2, x = column % 2;  // time repeats
      EXPECT_NEAR(patches.values[row * patches.columns + column],
                  static_cast<double>(10 * order[row] + 4 * c / 3 * 3 + 2 * y + x), 1e-3);
    }
  }
}

}  // namespace
}  // namespace caprl
