#include "caprl/core/log.h"

#include <gtest/gtest.h>

namespace caprl {
namespace {

TEST(Log, OnePatternToStderr) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  init_logging();
  log_warning("row {} is bad", 7);
  log_info("done");
  log_error("{}", "{} as it is");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  const std::string text = testing::internal::GetCapturedStderr();
  const std::string time = "[0-9][0-9]:[0-9][0-9]:[0-9][0-9]";
  EXPECT_TRUE(testing::internal::RE::FullMatch(
      text, time + " W row 7 is bad\n" + time + " I done\n" + time + " E \\{\\} as it is\n"))
      << text;
}

}  // namespace
}  // namespace caprl
