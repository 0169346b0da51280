#include "caprl/core/progress.h"

#include <gtest/gtest.h>

#include <memory>

#include "caprl/core/files.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using std::chrono::seconds;
using Clock = Progress::Clock;

/// What a Progress writes while `use` has it.
template <class F>
std::string output(int64_t total, int64_t first, int columns, F use) {
  const TempFolder folder;
  const auto file = folder / "out";
  {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::fopen(file.c_str(), "w"),
                                                                 &std::fclose);
    Progress progress(total, first, stream.get(), columns, Clock::time_point());
    use(progress);
  }
  return read_file(file);
}

TEST(Progress, PlainLines) {
  const std::string text = output(100, 40, 0, [](Progress& progress) {
    progress.update(40, {}, Clock::time_point());
    progress.update(42, {{"reward", 0.53125, 3}, {"tokens/s", 849.6}},
                    Clock::time_point(seconds(8)));
    progress.update(100, {{"reward", -1, 1}}, Clock::time_point(seconds(9000)));
  });
  EXPECT_EQ(text,
            "step 40/100\n"
            "step 42/100  reward 0.531  tokens/s 850  left 0:03:52\n"
            "step 100/100  reward -1.0  left 0:00:00\n");
}

TEST(Progress, AnEvaluationBeforeTheFirstStepIsNoStep) {
  const std::string text = output(10, 0, 0, [](Progress& progress) {
    progress.update(0, {{"held-out reward", 0.5, 1}}, Clock::time_point(seconds(1000)));
    progress.update(1, {{"memory", 1.25, 1, "GB"}}, Clock::time_point(seconds(1002)));
  });
  EXPECT_EQ(text, "step 0/10  held-out reward 0.5\nstep 1/10  memory 1.2 GB  left 0:00:18\n");
}

TEST(Progress, HoursLeft) {
  const std::string text = output(1000, 0, 0, [](Progress& progress) {
    progress.update(1, {}, Clock::time_point(seconds(100)));
  });
  EXPECT_EQ(text, "step 1/1000  left 27:45:00\n");
}

TEST(Progress, BarIsDrawnOverAndEndsItsLine) {
  const std::string text = output(100, 0, 80, [](Progress& progress) {
    progress.update(0, {}, Clock::time_point());
    progress.update(50, {{"reward", 0.5, 1}}, Clock::time_point(seconds(50)));
    progress.update(100, {}, Clock::time_point(seconds(100)));
  });
  EXPECT_EQ(text,
            "\r\x1b[K[                    ]   0/100"
            "\r\x1b[K[##########          ]  50/100  reward 0.5  left 0:00:50"
            "\r\x1b[K[####################] 100/100  left 0:00:00\n");
}

TEST(Progress, BarNeverWraps) {
  const std::string text = output(10, 0, 30, [](Progress& progress) {
    progress.update(5, {{"reward", 0.5, 5}}, Clock::time_point(seconds(1)));
  });
  EXPECT_EQ(text, "\r\x1b[K[##########          ]  5/10 \n");
}

TEST(Progress, NothingDrawnNothingEnded) {
  EXPECT_EQ(output(10, 0, 80, [](Progress&) {}), "");
}

}  // namespace
}  // namespace caprl
