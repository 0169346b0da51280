#include "caprl/text/token_lines.h"

#include <sstream>

#include "support.h"

namespace caprl {
namespace {

class TokenLines : public testing::Test {
 protected:
  std::string encode(const std::string& lines) {
    std::istringstream in(lines);
    std::ostringstream out;
    encode_lines(*tokenizer_, in, "stdin", out);
    return out.str();
  }
  std::string decode(const std::string& lines) {
    std::istringstream in(lines);
    std::ostringstream out;
    decode_lines(*tokenizer_, in, "stdin", out);
    return out.str();
  }
  std::shared_ptr<const Tokenizer> tokenizer_ = Tokenizer::load(text_data("small"));
};

TEST_F(TokenLines, GoThereAndBack) {
  const std::string lines = "\"a<|im_end|>\\n\"\n\"\"\n\"😀 \\\"x\\\"\"\n";
  EXPECT_EQ(encode("\"!\\\"\"\n\"\"\n"), "[0,1]\n[]\n");
  EXPECT_EQ(encode("\"<|im_end|>\""), "[477]\n");  // the last line may lack its newline
  EXPECT_EQ(decode(encode(lines)), lines);
  EXPECT_EQ(encode(""), "");
}

TEST_F(TokenLines, BadLinesNameTheirPlace) {
  EXPECT_EQ(input_error([&] { encode("\"a\"\n7\n"); }),
            "stdin:2: expected a JSON string, got number");
  EXPECT_TRUE(input_error([&] { encode("\"a\"\n\n"); }).starts_with("stdin:2: "));
  EXPECT_TRUE(input_error([&] { encode("\"\xff\"\n"); }).starts_with("stdin:1: "));
  EXPECT_EQ(input_error([&] { decode("\"a\"\n"); }),
            "stdin:1: expected a JSON array of ids, got string");
  for (const char* bad : {"-1", "1.5", "\"a\"", "486", "99999999999999999999"})
    EXPECT_TRUE(input_error([&] {
                  decode("[1]\n[" + std::string(bad) + "]\n");
                }).starts_with("stdin:2: expected ids from 0 to 485, got "))
        << bad;
}

TEST_F(TokenLines, FailingOutputIsAnError) {
  std::istringstream in("\"a\"\n");
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  EXPECT_THROW(encode_lines(*tokenizer_, in, "stdin", out), Error);
}

}  // namespace
}  // namespace caprl
