#include "caprl/io/base64.h"

#include <gtest/gtest.h>

#include "support/errors.h"

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

TEST(Base64, EveryByte) {
  // base64 of 0xfb 0xff 0xbf and of 0 … 5, as Python's base64.b64encode gives them.
  EXPECT_EQ(decode("+/+/"), "\xfb\xff\xbf");
  EXPECT_EQ(decode("AAECAwQF"), std::string("\0\1\2\3\4\5", 6));
}

TEST(Base64, EncodesWhatItDecodes) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    const std::string text = encode_base64(std::as_bytes(std::span(bytes)));
    EXPECT_EQ(text.size(), (bytes.size() + 2) / 3 * 4);
    EXPECT_EQ(decode(text), bytes);
    bytes += static_cast<char>(i * 37);
  }
  EXPECT_EQ(encode_base64(std::as_bytes(std::span("fooba", 5))), "Zm9vYmE=");
  EXPECT_EQ(encode_base64(std::as_bytes(std::span("\xfb\xff\xbf", 3))), "+/+/");
}

TEST(Base64, RefusesEverythingElse) {
  const auto message = [](std::string_view text) { return input_error([&] { decode(text); }); };
  EXPECT_EQ(message("Zg="), "F:1: expected base64 of a multiple of 4 characters, got 3");
  EXPECT_EQ(message("Zm9v\n123"), "F:1: expected base64, got character code 10 at place 4");
  EXPECT_EQ(message("Z-9v"), "F:1: expected base64, got character code 45 at place 1");
  EXPECT_EQ(message("Zg==Zm9v"), "F:1: expected base64, got character code 61 at place 2");
  EXPECT_EQ(message("Z==="), "F:1: expected base64, got character code 61 at place 1");
}

}  // namespace
}  // namespace caprl
