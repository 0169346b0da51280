// Every image that cannot be used is an InputError that names the file and what is wrong with it.
#include <gmock/gmock.h>

#include "test_support.h"

namespace caprl {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string decode_error(const std::string& content, int64_t max_pixels = 178'956'970) {
  return input_error([&] { decode_image(as_bytes(content), "photo", max_pixels); });
}

std::string sample(const std::string& file) { return read_file(image_data("files/" + file)); }

TEST(BadImages, MissingFile) {
  const auto path = image_data("files/absent.png");
  EXPECT_THAT(input_error([&] { load_image(path); }), HasSubstr(path.string()));
}

TEST(BadImages, ZeroBytes) { EXPECT_EQ(decode_error(""), "photo: the image file is empty"); }

TEST(BadImages, OtherFormatsAreNamed) {
  const std::string expected = "photo: expected a JPEG, PNG or WebP image, got ";
  EXPECT_EQ(decode_error("GIF89a................"), expected + "a GIF file");
  EXPECT_EQ(decode_error("BM......"), expected + "a BMP file");
  EXPECT_EQ(decode_error(std::string("II*\0....", 8)), expected + "a TIFF file");
  EXPECT_EQ(decode_error("....ftypavif...."), expected + "an AVIF, HEIC or video file");
  EXPECT_EQ(decode_error("<!DOCTYPE html>"), expected + "text (HTML, XML or SVG)");
  EXPECT_EQ(decode_error("version https://git-lfs.github.com/spec/v1"),
            expected + "a Git LFS pointer, whose content was not fetched");
  EXPECT_EQ(decode_error(std::string(50, '\x07')), expected + "no known image format");
  EXPECT_EQ(decode_error("\xFF\xD8"), expected + "no known image format");
}

TEST(BadImages, TruncatedAtEveryLength) {
  for (const char* file :
       {"plain.jpg", "progressive.jpg", "cmyk.jpg", "grey.jpg", "plain.png", "interlaced.png",
        "palette_16.png", "lossy.webp", "lossless.webp", "animated.webp", "lossy_alpha.webp"}) {
    const std::string content = sample(file);
    for (size_t size = 12; size < content.size(); size += size < content.size() - 24 ? 7 : 1) {
      SCOPED_TRACE(testing::Message() << file << " cut to " << size << " of " << content.size());
      ASSERT_THAT(decode_error(content.substr(0, size)), StartsWith("photo: truncated "));
    }
  }
}

TEST(BadImages, CorruptHeaders) {
  std::string jpeg = sample("plain.jpg");
  jpeg[jpeg.find("\xFF\xC0") + 4] = 12;  // sample precision
  EXPECT_THAT(decode_error(jpeg),
              StartsWith("photo: corrupt JPEG: Unsupported JPEG data precision 12"));

  std::string png = sample("plain.png");
  png[24] ^= 1;  // bit depth, so that the checksum is wrong too
  EXPECT_THAT(decode_error(png), StartsWith("photo: corrupt PNG: "));

  std::string webp = sample("lossless.webp");
  webp[20] = 0;  // signature of the lossless stream
  EXPECT_THAT(decode_error(webp), StartsWith("photo: corrupt WebP: "));
}

TEST(BadImages, CorruptPixels) {
  std::string png = sample("plain.png");
  png[png.size() / 2] ^= 0x55;
  EXPECT_THAT(decode_error(png), StartsWith("photo: corrupt PNG: "));
}

TEST(BadImages, TwoComponentJpegIsRefused) {
  // Two of the three components left in the frame and scan headers.
  std::string jpeg = sample("plain.jpg");
  const size_t frame = jpeg.find("\xFF\xC0");
  jpeg[frame + 3] = 14, jpeg[frame + 9] = 2;
  jpeg.erase(frame + 16, 3);
  const size_t scan = jpeg.find("\xFF\xDA");
  jpeg[scan + 3] = 10, jpeg[scan + 4] = 2;
  jpeg.erase(scan + 9, 2);
  EXPECT_THAT(decode_error(jpeg), HasSubstr("JPEG with 2 components; 1, 3 and 4 are supported"));
}

/// Random damage may give pixels or an InputError, but nothing else; the sanitizer build watches
/// the rest.
TEST(BadImages, RandomDamageNeverCrashes) {
  uint32_t state = 7;
  const auto draw = [&](size_t n) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
  };
  for (const char* file : {"420.jpg", "progressive.jpg", "ycck.jpg", "orientation_6.jpg",
                           "rgba.png", "interlaced.png", "palette_16.png", "orientation_xmp.png",
                           "lossy.webp", "lossless_alpha.webp", "animated_offset.webp"}) {
    const std::string content = sample(file);
    for (int trial = 0; trial < 200; ++trial) {
      std::string damaged = content;
      for (int i = 0; i < 3; ++i) damaged[draw(damaged.size())] = static_cast<char>(draw(256));
      try {
        const RgbImage image = decode_image(as_bytes(damaged), file, 20'000);
        EXPECT_EQ(image.pixels.size(), static_cast<size_t>(3 * image.width * image.height));
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(), StartsWith(file));
      }
    }
  }
}

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

/// PNG checksum, bit by bit.
uint32_t crc32(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

std::string png_of_size(uint32_t width, uint32_t height) {
  std::string png = sample("plain.png");
  png.replace(16, 8, big_endian(width) + big_endian(height));
  png.replace(29, 4, big_endian(crc32(png.substr(12, 17))));
  return png;
}

TEST(BadImages, TooManyPixelsAreRefusedByTheHeader) {
  // 100 megapixels are within Pillow's limit, so only the caller's limit refuses them here ...
  EXPECT_EQ(decode_error(png_of_size(10'000, 10'000), 50'000'000),
            "photo: the image is 10000 x 10000 = 100000000 pixels, the limit is 50000000");
  // ... while these are above it. Allocating either would take seconds and gigabytes.
  EXPECT_THAT(decode_error(png_of_size(2'000'000'000, 2'000'000'000)),
              HasSubstr("the limit is 178956970"));
  EXPECT_THAT(decode_error(png_of_size(178'956'971, 1)), HasSubstr("the limit is 178956970"));

  std::string jpeg = sample("plain.jpg");
  const size_t frame = jpeg.find("\xFF\xC0");
  jpeg.replace(frame + 5, 4, "\xFF\xDC\xFF\xDC");
  EXPECT_THAT(decode_error(jpeg), HasSubstr("65500 x 65500 = 4290250000 pixels"));

  std::string webp = sample("animated.webp");  // the canvas's sides as 24-bit numbers less one
  webp.replace(24, 6, std::string("\xFF\xFF\xFF\x7F\x00\x00", 6));
  EXPECT_THAT(decode_error(webp), HasSubstr("16777216 x 128 = 2147483648 pixels"));
}

TEST(BadImages, LimitIsInclusive) {
  const std::string png = sample("plain.png");  // 19 x 11
  EXPECT_EQ(decode_image(as_bytes(png), "photo", 209).width, 19);
  EXPECT_THAT(decode_error(png, 208), HasSubstr("the limit is 208"));
}

TEST(BadImages, EmptyPngSides) {
  EXPECT_THAT(decode_error(png_of_size(0, 5)), AnyOf(HasSubstr("0 x 5"), HasSubstr("corrupt PNG")));
}

TEST(BadImages, AspectRatioAboveTwoHundred) {
  const PatchConfig config;
  EXPECT_NO_THROW(smart_resize(200, 1, config));
  EXPECT_EQ(input_error([&] { smart_resize(201, 1, config); }),
            "an image of 201 x 1 pixels has an aspect ratio of 201, the limit is 200");
  EXPECT_THAT(input_error([&] { make_patches(lcg_image(3, 601, 1), config); }),
              HasSubstr("an image of 3 x 601 pixels has an aspect ratio of 200.3"));
}

TEST(BadImages, OnePixelIsAnImage) {
  for (const char* file : {"one_pixel.jpg", "one_pixel.png", "one_pixel.webp"}) {
    const RgbImage image = load_image(image_data(std::string("files/") + file));
    const ImagePatches patches = make_patches(image, PatchConfig{});
    EXPECT_EQ(patches.grid_h, 4) << file;
    EXPECT_EQ(patches.grid_w, 4) << file;
    EXPECT_EQ(patches.tokens(2), 4) << file;
  }
}

}  // namespace
}  // namespace caprl
