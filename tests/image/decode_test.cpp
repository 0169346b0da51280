// Decoded pixels against Pillow's (through transformers' load_image), byte for byte.
#include <gmock/gmock.h>

#include "caprl/image/source.h"
#include "support/temp_folder.h"
#include "test_support.h"

namespace caprl {
namespace {

TEST(Decode, EqualsPillowOnEveryKindOfFile) {
  const auto index = read_json(image_data("decoded.json"));
  const std::string pixels = read_file(image_data("decoded.rgb"));
  ASSERT_GE(index.size(), 60u);
  for (const auto& row : index) {
    const auto file = row["file"].get<std::string>();
    SCOPED_TRACE(file);
    const RgbImage image = load_image(image_data("files/" + file));
    ASSERT_EQ(image.width, row["width"].get<int64_t>());
    ASSERT_EQ(image.height, row["height"].get<int64_t>());
    ASSERT_EQ(image.pixels.size(), static_cast<size_t>(3 * image.width * image.height));
    const std::string expected = pixels.substr(row["offset"].get<size_t>(), image.pixels.size());
    int64_t differing = 0, first = -1;
    for (size_t i = 0; i < image.pixels.size(); ++i) {
      if (image.pixels[i] == static_cast<uint8_t>(expected[i])) continue;
      if (differing++ == 0) first = static_cast<int64_t>(i);
    }
    EXPECT_EQ(differing, 0) << "first at byte " << first;
  }
}

TEST(Decode, TheHeaderAloneTellsTheSize) {
  for (const auto& row : read_json(image_data("decoded.json"))) {
    const auto file = row["file"].get<std::string>();
    SCOPED_TRACE(file);
    const std::string content = read_file(image_data("files/" + file));
    ImageSize size = stored_size(as_bytes(content), file);
    if (size.width != row["width"].get<int64_t>()) std::swap(size.width, size.height);  // turned
    EXPECT_EQ(size.width, row["width"].get<int64_t>());
    EXPECT_EQ(size.height, row["height"].get<int64_t>());
  }
  EXPECT_EQ(input_error([&] { stored_size({}, "photo"); }), "photo: the image file is empty");
}

TEST(Decode, OrientationsAreTheSamePictureTurned) {
  const RgbImage upright = load_image(image_data("files/orientation_1.jpg"));
  const RgbImage turned = load_image(image_data("files/orientation_6.jpg"));  // a quarter clockwise
  ASSERT_EQ(turned.width, upright.height);
  for (int64_t y = 0; y < upright.height; ++y)
    for (int64_t x = 0; x < upright.width; ++x)
      ASSERT_EQ(turned.pixels[3 * (x * turned.width + turned.width - 1 - y)],
                upright.pixels[3 * (y * upright.width + x)]);
}

TEST(Decode, BrokenExifIsIgnored) {
  const std::string whole = read_file(image_data("files/orientation_6.jpg"));
  const size_t block = whole.find(std::string("II*\0", 4));
  ASSERT_NE(block, std::string::npos);
  for (const auto& [offset, value] : {std::pair{0, 'X'}, {2, '?'}, {4, '\xF0'}, {8, '\0'}}) {
    std::string broken = whole;
    broken[block + offset] = value;
    const RgbImage image = decode_image(as_bytes(broken), "broken");
    EXPECT_EQ(image.width, 9) << "byte " << offset << " of the block";
  }
}

TEST(Decode, BytesAfterTheImageAreIgnored) {
  for (const char* file : {"plain.jpg", "plain.png", "lossy.webp"}) {
    const std::string content = read_file(image_data(std::string("files/") + file));
    const RgbImage plain = decode_image(as_bytes(content), file);
    const RgbImage padded = decode_image(as_bytes(content + std::string(100, '\0')), file);
    EXPECT_EQ(plain.pixels, padded.pixels) << file;
  }
}

/// Of a file by its beginning; and where that is all metadata, by more of it.
TEST(StoredSize, OfAFileWhateverStandsBeforeIt) {
  const TempFolder folder;
  const std::string plain = encode_jpeg({3, 2, std::vector<uint8_t>(18, 7)}, 90);
  const std::string comment = std::string("\xff\xfe\xff\xff") + std::string(0xfffd, 'c');
  std::string padded = plain;
  for (int i = 0; i < 3; ++i) padded.insert(2, comment);
  for (const std::string& content : {plain, padded}) {
    ImageSource source;
    source.path = folder.write("image.jpg", content);
    source.name = "an image";
    const ImageSize size = stored_size(source);
    EXPECT_EQ(size.width, 3);
    EXPECT_EQ(size.height, 2);
  }
  ImageSource cut;
  cut.path = folder.write("cut.jpg", plain.substr(0, 20));
  cut.name = "a cut image";
  EXPECT_THAT(input_error([&] { stored_size(cut); }), testing::StartsWith("a cut image"));
}

}  // namespace
}  // namespace caprl
