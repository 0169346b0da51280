// The resize against Pillow's, byte for byte.
#include "test_support.h"

namespace caprl {
namespace {

std::string hex(const std::vector<uint8_t>& bytes) {
  std::string text;
  for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

TEST(Resize, EqualsPillow) {
  const auto rows = read_json(image_data("resized.json"));
  ASSERT_GE(rows.size(), 15u);
  for (const auto& row : rows) {
    SCOPED_TRACE(row.dump());
    const RgbImage image = lcg_image(row["from"][0].get<int64_t>(), row["from"][1].get<int64_t>(),
                                     row["seed"].get<uint32_t>());
    const RgbImage resized =
        resize_bicubic(image, row["to"][0].get<int64_t>(), row["to"][1].get<int64_t>());
    ASSERT_EQ(resized.width, row["to"][0].get<int64_t>());
    ASSERT_EQ(resized.height, row["to"][1].get<int64_t>());
    if (row.contains("rgb")) {
      EXPECT_EQ(hex(resized.pixels), row["rgb"].get<std::string>());
    }
    EXPECT_EQ(std::to_string(wide_hash(resized.pixels)), row["hash"].get<std::string>());
  }
}

TEST(Resize, ConstantColoursStay) {
  RgbImage image{7, 5, {}};
  for (int i = 0; i < 35; ++i) image.pixels.insert(image.pixels.end(), {0, 137, 255});
  for (const auto& [width, height] : {std::pair<int64_t, int64_t>{28, 28}, {3, 2}, {70, 1}}) {
    const RgbImage resized = resize_bicubic(image, width, height);
    for (int64_t i = 0; i < width * height; ++i) {
      ASSERT_EQ(resized.pixels[3 * i], 0);
      ASSERT_EQ(resized.pixels[3 * i + 1], 137);
      ASSERT_EQ(resized.pixels[3 * i + 2], 255);
    }
  }
}

TEST(Resize, SameSizeIsACopy) {
  const RgbImage image = lcg_image(31, 17, 5);
  EXPECT_EQ(resize_bicubic(image, 31, 17).pixels, image.pixels);
}

TEST(Resize, EmptySidesAreRefused) {
  EXPECT_THROW(resize_bicubic(lcg_image(3, 3, 1), 0, 3), Error);
  EXPECT_THROW(resize_bicubic(RgbImage{}, 3, 3), Error);
}

}  // namespace
}  // namespace caprl
