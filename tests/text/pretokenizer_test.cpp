// Words of ASCII text beside those of ICU's regular expressions.
#include "text/pretokenizer.h"

#include <gmock/gmock.h>

#include <random>

namespace caprl {
namespace {

using nlohmann::json;
using testing::ElementsAre;

json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", use_regex}};
}

json split(std::string_view pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
}

Pretokenizer in_sequence(std::vector<json> stages) {
  const json config = {{"type", "Sequence"}, {"pretokenizers", std::move(stages)}};
  return Pretokenizer::from_json({&config, "test"});
}

std::vector<std::string> pieces(const Pretokenizer& pretokenizer, std::string_view text) {
  std::vector<std::string> all;
  pretokenizer.split(text, true, [&](std::string_view piece) { all.emplace_back(piece); });
  return all;
}

/// The same matches, but no pattern that is known to the letter.
std::string unknown(std::string_view pattern) { return "(?:" + std::string(pattern) + ")"; }

std::string random_text(std::mt19937& random, std::string_view letters) {
  std::string text(random() % 24, ' ');
  for (char& c : text) c = letters[random() % letters.size()];
  return text;
}

void expect_same(const Pretokenizer& quick, const Pretokenizer& slow) {
  std::string all(128, ' ');
  for (int c = 0; c < 128; ++c) all[c] = static_cast<char>(c);
  std::mt19937 random(3);
  for (const std::string_view letters :
       {std::string_view(all), std::string_view("  \n\r\t'''sStTrReEvVlLmMdDxZ09.!")})
    for (int i = 0; i < 10000; ++i) {
      const std::string text = random_text(random, letters);
      ASSERT_EQ(pieces(quick, text), pieces(slow, text)) << testing::PrintToString(text);
    }
}

TEST(Pretokenizer, AsciiIsSplitAsByRegularExpressions) {
  for (const std::string_view pattern : {kGpt2Pattern, kQwenPattern, kLlama3Pattern}) {
    SCOPED_TRACE(pattern);
    ASSERT_TRUE(AsciiPattern::of(pattern));
    ASSERT_FALSE(AsciiPattern::of(unknown(pattern)));
    expect_same(in_sequence({split(pattern), byte_level(false)}),
                in_sequence({split(unknown(pattern)), byte_level(false)}));
  }
}

TEST(Pretokenizer, AsciiInStages) {
  for (const bool individual : {false, true})
    expect_same(
        in_sequence({{{"type", "Digits"}, {"individual_digits", individual}}, byte_level(true)}),
        in_sequence({split(unknown(individual ? kDigitPattern : kDigitsPattern)),
                     split(unknown(kGpt2Pattern)), byte_level(false)}));
}

/// What a piece costs does not depend on the text before it.
TEST(Pretokenizer, LongTextsOfOneLine) {
  constexpr size_t kRepeats = 300'000;
  std::string text;
  for (size_t i = 0; i < kRepeats; ++i) text += "a  b, ";
  size_t bytes = 0, count = 0;
  in_sequence({split(kQwenPattern), byte_level(false)})
      .split(text, true, [&](std::string_view piece) {
        bytes += piece.size();
        ++count;
      });
  EXPECT_EQ(bytes, text.size());
  EXPECT_EQ(count, 4 * kRepeats + 1);  // a, " ", " b", ","; " a" from the second on; the last " "
}

TEST(Pretokenizer, OtherTextIsSplitByRegularExpressions) {
  const Pretokenizer qwen = in_sequence({split(kQwenPattern), byte_level(false)});
  EXPECT_THAT(pieces(qwen, "It's 10 é's\n\n  !x"),
              ElementsAre("It", "'s", " ", "1", "0", " é", "'s", "\n\n", " ", " !", "x"));
  EXPECT_THAT(pieces(qwen, "It's 10 e's\n\n  !x"),
              ElementsAre("It", "'s", " ", "1", "0", " e", "'s", "\n\n", " ", " !", "x"));
}

}  // namespace
}  // namespace caprl
