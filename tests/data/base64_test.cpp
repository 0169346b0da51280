#include "data/base64.h"

#include "support.h"

namespace caprl {
namespace {

std::string decode(std::string_view text) {
  const std::vector<std::byte> bytes = decode_base64(text, "F:1");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(Base64, TestVectorsOfRfc4648) {
  EXPECT_EQ(decode(""), "");
  EXPECT_EQ(decode("Zg=="), "f");
  EXPECT_EQ(decode("Zm8="), "fo");
  EXPECT_EQ(decode("Zm9v"), "foo");
  EXPECT_EQ(decode("Zm9vYg=="), "foob");
  EXPECT_EQ(decode("Zm9vYmE="), "fooba");
  EXPECT_EQ(decode("Zm9vYmFy"), "foobar");
}

TEST(Base64, EncodesWhatItDecodes) {
  std::string text;
  for (int i = 0; i < 258; ++i) {
    EXPECT_EQ(decode(encode_base64(std::as_bytes(std::span(text)))), text);
    text += static_cast<char>(i);
  }
  EXPECT_EQ(encode_base64(std::as_bytes(std::span("foobar", 4))), "Zm9vYg==");
}

TEST(Base64, EveryByte) {
  // base64 of 0xfb 0xff 0xbf and of 0 … 5, as Python's base64.b64encode gives them.
  EXPECT_EQ(decode("+/+/"), "\xfb\xff\xbf");
  EXPECT_EQ(decode("AAECAwQF"), std::string("\0\1\2\3\4\5", 6));
}

TEST(Base64, RefusesEverythingElse) {
  const auto message = [](std::string_view text) { return input_error([&] { decode(text); }); };
  EXPECT_EQ(message("Zg="),
            "F:1: image bytes: expected base64 of a multiple of 4 characters, got 3");
  EXPECT_EQ(message("Zm9v\n123"),
            "F:1: image bytes: expected base64, got character code 10 at place 4");
  EXPECT_EQ(message("Z-9v"), "F:1: image bytes: expected base64, got character code 45 at place 1");
  EXPECT_EQ(message("Zg==Zm9v"),
            "F:1: image bytes: expected base64, got character code 61 at place 2");
  EXPECT_EQ(message("Z==="), "F:1: image bytes: expected base64, got character code 61 at place 1");
}

}  // namespace
}  // namespace caprl
