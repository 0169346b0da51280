#include "caprl/core/terminal.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>

namespace caprl {
namespace {

using testing::ElementsAre;

class TerminalTextTest : public testing::Test {
 protected:
  void SetUp() override { ::setenv("LC_ALL", "C.UTF-8", 1); }
  void TearDown() override { ::unsetenv("LC_ALL"); }
};

TEST_F(TerminalTextTest, Columns) {
  const TerminalText text;
  EXPECT_EQ(text.columns(""), 0);
  EXPECT_EQ(text.columns("red"), 3);
  EXPECT_EQ(text.columns("naïve"), 5);
  EXPECT_EQ(text.columns("红色"), 4);
  EXPECT_EQ(text.columns("e\u0301"), 1) << "a letter and its accent";
  EXPECT_EQ(text.columns("a\u200bb\ufe0f\u202e"), 2) << "what has no shape";
  EXPECT_EQ(text.columns("\xff\xe7\xba"), 3) << "a '?' for each byte that is no UTF-8";
}

TEST_F(TerminalTextTest, NothingThatATerminalWouldObey) {
  const TerminalText text;
  EXPECT_THAT(text.lines("a\x1b[2Jb\r\n\tc\x07\x7f\u009b", 80, 1), ElementsAre("a [2Jb   c   "));
  EXPECT_THAT(text.lines("left \u202eright", 80, 1), ElementsAre("left right"));
}

TEST_F(TerminalTextTest, Lines) {
  const TerminalText text;
  EXPECT_THAT(text.lines("", 10, 3), ElementsAre(""));
  EXPECT_THAT(text.lines("0123456789", 10, 1), ElementsAre("0123456789"));
  EXPECT_THAT(text.lines("0123456789a", 10, 1), ElementsAre("012345678…"));
  EXPECT_THAT(text.lines("0123456789abc", 5, 3), ElementsAre("01234", "56789", "abc"));
  EXPECT_THAT(text.lines("0123456789abcdef", 5, 3), ElementsAre("01234", "56789", "abcd…"));
  EXPECT_THAT(text.lines("01234 6789", 5, 3), ElementsAre("01234", "6789"));
  EXPECT_THAT(text.lines("红色的圆", 5, 2), ElementsAre("红色", "的圆"));
  EXPECT_THAT(text.lines("红色的圆", 5, 1), ElementsAre("红色…"));
  EXPECT_THAT(text.lines("红色的圆", 1, 1), ElementsAre("…"));
}

TEST_F(TerminalTextTest, Curves) {
  const TerminalText text;
  const std::vector<double> rising{0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(text.curve(rising, 20), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(text.curve(rising, 4), "▁▃▆█") << "means of two";
  EXPECT_EQ(text.curve(std::vector<double>{2, 2, 2}, 9), "▅▅▅");
  EXPECT_EQ(text.curve(std::vector<double>{0, NAN, INFINITY, 1}, 9), "▁  █");
  EXPECT_EQ(text.curve({}, 9), "");
}

TEST_F(TerminalTextTest, AsciiWhereTheLocaleIsNotUtf8) {
  for (const char* locale : {"C", "no_SUCH.UTF-8"}) {
    ::setenv("LC_ALL", locale, 1);
    const TerminalText text;
    EXPECT_EQ(text.columns("红色 é"), 4);
    EXPECT_THAT(text.lines("红色 é\x1b", 10, 1), ElementsAre("?? ? "));
    EXPECT_THAT(text.lines("0123456789a", 10, 1), ElementsAre("012345678."));
    EXPECT_EQ(text.curve(std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7}, 20), "_.-~=+*#");
  }
}

}  // namespace
}  // namespace caprl
