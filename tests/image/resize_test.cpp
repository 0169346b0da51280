// The resize against Pillow's, byte for byte.
#include <random>

#include "image/resize_row.h"
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

TEST(ResizeRow, VectorsGiveThePlainBytes) {
  constexpr int64_t kPixels = 50, kOutputs = 40;
  std::minstd_rand random(7);
  for (const int64_t stride : {4, 8, 20}) {
    Taps taps{stride, {}, {}, {}, {}, {}};
    for (int64_t x = 0; x < kOutputs; ++x) {
      taps.count.push_back(1 + random() % stride);
      taps.first.push_back(random() % (kPixels - taps.count.back() + 1));
      for (int64_t k = 0; k < stride; ++k) {
        // Up to 1.3 in size and of both signs; the other weights are 0.
        const int32_t size = (13 << 22) / 10 / (k == 0 ? 1 : 16);
        const int32_t any = static_cast<int32_t>(random() % (2 * size + 1)) - size;
        taps.weights.push_back(k < taps.count.back() ? any : 0);
      }
    }
    taps.split_weights();
    std::vector<uint8_t> row(3 * kPixels + kReadBeyond);
    for (uint8_t& byte : row) byte = static_cast<uint8_t>(random());
    std::vector<uint8_t> plain(3 * kOutputs), vectors(3 * kOutputs);
    resize_row_plain(row.data(), taps, kOutputs, plain.data());
    resize_row(row.data(), taps, kOutputs, vectors.data());
    EXPECT_EQ(plain, vectors) << "stride " << stride;
  }
}

}  // namespace
}  // namespace caprl
