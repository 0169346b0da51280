#include "caprl/io/tensorboard.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "io/crc32c.h"
#include "support/errors.h"
#include "support/event_files.h"
#include "support/temp_folder.h"
#include "support/tensorboard_reader.h"

namespace caprl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(Crc32c, IsThatOfTheStandards) {
  // RFC 3720, B.4, and the catalogue's check value.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST(Tensorboard, AFileOfEvents) {
  const TempFolder folder;
  const auto now = [] {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  const double before = now();
  {
    TensorboardWriter writer(folder / "a/tensorboard", 0);
    writer.write(0, {{"val/reward/mean", 0.25}});
    writer.write(300, {{"reward", 0.1}, {"höhe", -1e30}, {"nan", NAN}, {"inf", INFINITY}});
    writer.write(int64_t{1} << 40, {});
  }
  const auto files = events::files(folder / "a/tensorboard");
  ASSERT_EQ(files.size(), 1u);
  EXPECT_THAT(files.begin()->filename().string(),
              testing::MatchesRegex("events\\.out\\.tfevents\\.[0-9]+\\..+"));
  const auto read = events::read_file(*files.begin());
  ASSERT_EQ(read.size(), 5u);
  EXPECT_EQ(read[0].file_version, "brain.Event:2");
  EXPECT_TRUE(read[1].starts_session);
  EXPECT_EQ(read[1].step, 0);
  EXPECT_THAT(read[2].scalars, ElementsAre(Pair("val/reward/mean", 0.25f)));
  EXPECT_EQ(read[2].step, 0);
  EXPECT_EQ(read[3].step, 300);
  EXPECT_THAT(read[3].scalars, ElementsAre(Pair("höhe", -1e30f), Pair("inf", INFINITY),
                                           Pair("nan", testing::IsNan()), Pair("reward", 0.1f)));
  EXPECT_EQ(read[4].step, int64_t{1} << 40);
  for (const auto& event : read) {
    EXPECT_GE(event.wall_time, before);
    EXPECT_LE(event.wall_time, now());
  }
}

/// A run of steps 1 to 5 that dies within a record and goes on at 4, and once more at 6.
std::filesystem::path interrupted_run(const TempFolder& folder) {
  const auto run = folder / "tensorboard";
  const auto write = [&](int64_t first, int64_t last, double value) {
    TensorboardWriter writer(run, first);
    for (int64_t step = first; step <= last; ++step) writer.write(step, {{"reward", value}});
  };
  write(1, 5, 0.5);
  std::ofstream(*events::files(run).begin(), std::ios::binary | std::ios::app) << "half";
  write(4, 5, 0.75);
  write(6, 6, 1);
  return run;
}

const std::vector<std::pair<int64_t, float>> kEachStepOnce{{1, 0.5f},  {2, 0.5f},  {3, 0.5f},
                                                           {4, 0.75f}, {5, 0.75f}, {6, 1.0f}};

TEST(Tensorboard, ARunThatGoesOnHasEachStepOnce) {
  const TempFolder folder;
  const auto run = interrupted_run(folder);
  const auto files = events::files(run);
  ASSERT_EQ(files.size(), 3u) << "within the same second, too";
  std::filesystem::resize_file(*files.begin(), std::filesystem::file_size(*files.begin()) - 4);
  EXPECT_THAT(events::read_folder(run), ElementsAre(Pair("reward", kEachStepOnce)));
}

TEST(Tensorboard, TensorboardItselfReadsThat) {
  const TempFolder folder;
  const auto read = read_with_tensorboard(interrupted_run(folder));
  if (!read) GTEST_SKIP() << kNoTensorboard;
  EXPECT_EQ(*read, (nlohmann::json{{"reward", kEachStepOnce}}));
}

TEST(Tensorboard, AFileOfALaterClockIsReadBefore) {
  const TempFolder folder;
  folder.write("events.out.tfevents.9999999990.host.1.0", "");
  folder.write("events.out.tfevents.garbage", "");
  { const TensorboardWriter writer(folder.path(), 1); }
  std::vector<std::string> names;
  for (const auto& file : events::files(folder.path())) names.push_back(file.filename().string());
  ASSERT_EQ(names.size(), 3u);
  EXPECT_THAT(names[1], testing::StartsWith("events.out.tfevents.9999999991."));
}

TEST(Tensorboard, WhereItCannotWrite) {
  const TempFolder folder;
  folder.write("tensorboard", "a file");
  EXPECT_THAT(input_error([&] { TensorboardWriter(folder / "tensorboard", 1); }),
              testing::AllOf(HasSubstr("log.tensorboard: " + (folder / "tensorboard").string()),
                             HasSubstr("cannot be created: ")));
  EXPECT_THAT(input_error([] { TensorboardWriter("/proc/tensorboard", 1); }),
              HasSubstr("log.tensorboard: /proc/tensorboard cannot be created: "));
}

}  // namespace
}  // namespace caprl
