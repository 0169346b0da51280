#include "caprl/text/words.h"

#include <gmock/gmock.h>

#include "caprl/core/error.h"
#include "support/errors.h"

namespace caprl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Words, OfManyLanguages) {
  EXPECT_THAT(split_words("A red ball's shadow, 3.5 m long!"),
              ElementsAre("a", "red", "ball's", "shadow", "3.5", "m", "long"));
  EXPECT_THAT(split_words("Straße ÜBER"), ElementsAre("strasse", "über"));
  EXPECT_THAT(split_words("红色的球"), ElementsAre("红色", "的", "球"));
  EXPECT_THAT(split_words("Красный мяч."), ElementsAre("красный", "мяч"));
  EXPECT_THAT(split_words(""), IsEmpty());
  EXPECT_THAT(split_words(" ,.!? "), IsEmpty());
}

TEST(Words, WhatIsNotUtf8Separates) { EXPECT_THAT(split_words("a \xff b"), ElementsAre("a", "b")); }

TEST(Sentences, OfManyLanguages) {
  EXPECT_THAT(split_sentences("It is 3.5 m long. Is it?  Yes!\n"),
              ElementsAre("It is 3.5 m long.", "Is it?", "Yes!"));
  EXPECT_THAT(split_sentences("桌上有球。很红。"), ElementsAre("桌上有球。", "很红。"));
  EXPECT_THAT(split_sentences(" \n"), IsEmpty());
}

TEST(TextPattern, IgnoresCaseInAnyScript) {
  const TextPattern pattern(R"(\bщит\b|red)", "here");
  EXPECT_TRUE(pattern.found_in("Старый ЩИТ"));
  EXPECT_TRUE(pattern.found_in("BORED"));
  EXPECT_FALSE(pattern.found_in("щиты"));
}

TEST(TextPattern, MalformedOnesAreRefused) {
  EXPECT_THAT(message_of<InputError>([] { TextPattern("a(b", "config"); }),
              HasSubstr("config: expected a regular expression, got 'a(b'"));
}

TEST(TextPattern, GivesUpOnEndlessBacktracking) {
  const TextPattern pattern("(a+)+b", "here");
  EXPECT_THAT(message_of<Error>([&] { pattern.found_in(std::string(60, 'a')); }),
              HasSubstr("U_REGEX_TIME_OUT"));
}

TEST(LowerAndSqueeze, AsPythonsLowerAndSplit) {
  EXPECT_EQ(lower_and_squeeze("  Over\t30\u00a0 MINS\n"), "over 30 mins");
  EXPECT_EQ(lower_and_squeeze("ÉTÉ ΟΔΟΣ"), "été οδος");
  EXPECT_EQ(lower_and_squeeze(" \n\x1c"), "");
  EXPECT_EQ(lower_and_squeeze("a\xff"), "a\ufffd");
}

TEST(CodePoints, AreCharacters) {
  EXPECT_EQ(code_points("aé漢🙂"), U"aé漢🙂");
  EXPECT_EQ(code_points(""), U"");
}

}  // namespace
}  // namespace caprl
