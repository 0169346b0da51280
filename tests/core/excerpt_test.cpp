#include "caprl/core/excerpt.h"

#include <gtest/gtest.h>

namespace caprl {
namespace {

TEST(Excerpt, IsTheTextOrItsBeginning) {
  EXPECT_EQ(excerpt("", 3), "");
  EXPECT_EQ(excerpt("abc", 3), "abc");
  EXPECT_EQ(excerpt("abcd", 3), "abc…");
  EXPECT_EQ(excerpt("abc", 0), "…");
}

TEST(Excerpt, CutsNoCharacterInTwo) {
  const std::string text = "aé日𝄞";  // of 1, 2, 3 and 4 bytes
  const char* const expected[] = {"…",   "a…",    "a…",    "aé…",   "aé…",
                                  "aé…", "aé日…", "aé日…", "aé日…", "aé日…"};
  for (size_t most = 0; most < text.size(); ++most) EXPECT_EQ(excerpt(text, most), expected[most]);
  EXPECT_EQ(excerpt(text, text.size()), text);
}

}  // namespace
}  // namespace caprl
