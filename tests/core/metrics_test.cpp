#include "caprl/core/metrics.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

TEST(Metrics, OneObjectPerStep) {
  const TempFolder folder;
  const auto file = folder / "metrics.jsonl";
  MetricsLogger logger(file, 0);
  logger.write(1, {{"critic/rewards/mean", 0.5}, {"actor/lr", 1e-6}});
  EXPECT_EQ(read_file(file), "{\"step\":1,\"actor/lr\":1e-06,\"critic/rewards/mean\":0.5}\n");
  logger.write(2, {});
  EXPECT_EQ(read_file(file),
            "{\"step\":1,\"actor/lr\":1e-06,\"critic/rewards/mean\":0.5}\n{\"step\":2}\n");
}

TEST(Metrics, NumbersReadBackExactly) {
  const TempFolder folder;
  const Metrics values = {{"a", 0.1 + 0.2}, {"b", 1.0 / 3},
                          {"c", 5e-324},    {"d", 1.7976931348623157e308},
                          {"e", -0.0},      {"f", 123456789}};
  MetricsLogger(folder / "m", 0).write(3, values);
  const auto line = nlohmann::json::parse(read_file(folder / "m"));
  for (const auto& [name, value] : values) EXPECT_EQ(line[name].get<double>(), value) << name;
}

TEST(Metrics, NonFiniteValuesAreStrings) {
  const TempFolder folder;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  MetricsLogger(folder / "m", 0)
      .write(1, {{"a", kInfinity}, {"b", -kInfinity}, {"c", std::nan("")}});
  EXPECT_EQ(read_file(folder / "m"), "{\"step\":1,\"a\":\"inf\",\"b\":\"-inf\",\"c\":\"nan\"}\n");
}

void write_steps(const std::filesystem::path& file, int64_t after, int64_t last) {
  MetricsLogger logger(file, after);
  for (int64_t step = after + 1; step <= last; ++step)
    logger.write(step, {{"value", static_cast<double>(step) / 7}});
}

TEST(Metrics, ResumedFileIsThatOfAnUninterruptedRun) {
  const TempFolder folder;
  write_steps(folder / "whole", 0, 9);
  write_steps(folder / "resumed", 0, 6);  // a checkpoint was made at 4, the run died after 6
  write_steps(folder / "resumed", 4, 9);
  EXPECT_EQ(read_file(folder / "resumed"), read_file(folder / "whole"));
}

TEST(Metrics, PartOfALineIsDropped) {
  const TempFolder folder;
  const auto file = folder.write("m", "{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"va");
  MetricsLogger(file, 3).write(3, {});
  EXPECT_EQ(read_file(file), "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n");
}

TEST(Metrics, NewRunStartsWithStepZeroOrNothing) {
  const TempFolder folder;
  const auto file = folder.write("m", "{\"step\":0}\n{\"step\":1}\n");
  MetricsLogger(file, 0).write(1, {});
  EXPECT_EQ(read_file(file), "{\"step\":0}\n{\"step\":1}\n");
  MetricsLogger(file, -1);
  EXPECT_EQ(read_file(file), "");
}

TEST(Metrics, StepsDoNotGoBack) {
  const TempFolder folder;
  MetricsLogger logger(folder / "m", 5);
  EXPECT_EQ(message_of<Error>([&] { logger.write(4, {}); }),
            (folder / "m").string() + ": step 4 after step 5");
}

TEST(Metrics, OtherFilesAreRefusedAndKept) {
  const TempFolder folder;
  for (const std::string line :
       {"no json", "[1]", "{\"a\":1}", "{\"step\":\"1\"}", "{\"step\":1.5}"}) {
    const std::string content = "{\"step\":1}\n" + line + "\n";
    const auto file = folder.write("m", content);
    EXPECT_EQ(message_of<InputError>([&] { MetricsLogger(file, 9); }),
              file.string() + ":2: expected a metrics line with a step, got '" + line + "'");
    EXPECT_EQ(read_file(file), content);
  }
}

TEST(Metrics, UnwritableFileIsAnError) {
  const TempFolder folder;
  EXPECT_EQ(message_of<Error>([&] { MetricsLogger(folder / "no/m", 0); }),
            (folder / "no/m").string() + " cannot be opened: No such file or directory");
}

}  // namespace
}  // namespace caprl
