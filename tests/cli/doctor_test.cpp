// `caprl doctor`: what works here, and what is said where something does not.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <cstdlib>

#include "support.h"

namespace caprl {
namespace {

using testing::HasSubstr;

TEST(Doctor, ThisMachineWorks) {
  const Outcome outcome = caprl({"doctor"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  for (const char* check : {"build", "torch", "gpus", "images", "text", "files", "limits"})
    EXPECT_THAT(outcome.out, HasSubstr(std::string("  ok      ") + check));
}

TEST(Doctor, ExplainsWhatDoesNot) {
  ::setenv("TMPDIR", "/proc", 1);  // where nobody may write
  const Outcome outcome = caprl({"doctor"});
  ::unsetenv("TMPDIR");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("FAILED  files       /proc cannot be written: "));
  EXPECT_THAT(outcome.out, HasSubstr("TMPDIR"));
  EXPECT_EQ(outcome.err, "error: 1 of 7 checks failed\n");
}

TEST(Doctor, TooFewOpenFiles) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 100;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const Outcome outcome = caprl({"doctor"});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("only 100 files may be open at a time"));
}

}  // namespace
}  // namespace caprl
