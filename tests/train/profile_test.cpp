// Traces of training steps, as chrome://tracing reads them.
#include "caprl/train/profile.h"

#include <ATen/ATen.h>

#include <map>

#include "caprl/core/error.h"
#include "caprl/train/grpo_trainer.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

/// Seconds of the spans of one category by name.
std::map<std::string, double> spans(const nlohmann::json& trace, const std::string& category) {
  std::map<std::string, double> seconds;
  for (const auto& event : trace.at("traceEvents"))
    if (event.value("cat", "") == category && event.contains("dur"))
      seconds[event.at("name").get<std::string>()] += 1e-6 * event.at("dur").get<double>();
  return seconds;
}

class Profile : public TinyRun {};

TEST_F(Profile, StepsAfterTheFirstHaveTheirPhases) {
  const GrpoConfig config = grpo("traced", 4);
  GrpoTrainer(config, "never", World::alone(), 2).run();
  EXPECT_FALSE(std::filesystem::exists(path("traced/trace/step_000001_rank_0.json")));
  EXPECT_FALSE(std::filesystem::exists(path("traced/trace/step_000004_rank_0.json")));
  const auto steps = lines(path("traced/metrics.jsonl"));
  for (const int64_t step : {2, 3}) {
    SCOPED_TRACE(step);
    const auto trace = nlohmann::json::parse(
        read_file(path(fmt::format("traced/trace/step_{:06}_rank_0.json", step))));
    const auto phases = spans(trace, "user_annotation");
    nlohmann::json timed;  // of the same step
    for (const auto& line : steps)
      if (line.at("step") == step && line.contains("timing_s/step")) timed = line;
    for (const char* phase : {"data", "gen", "reward", "share", "update_actor"}) {
      ASSERT_TRUE(phases.contains(phase)) << phase;
      const auto seconds = timed.at(std::string("timing_s/") + phase).get<double>();
      EXPECT_NEAR(phases.at(phase), seconds, 0.2 * seconds + 0.005) << phase;
    }
    EXPECT_GT(spans(trace, "cpu_op").size(), 20u);
  }
}

TEST_F(Profile, ItsResultIsThatOfAnUntracedRun) {
  GrpoTrainer(grpo("with", 2), "never", World::alone(), 1).run();
  GrpoTrainer(grpo("without", 2), "never").run();
  const auto with = weights("with", 2), without = weights("without", 2);
  for (const auto& [name, tensor] : without) EXPECT_TRUE(at::equal(with.at(name), tensor)) << name;
}

TEST_F(Profile, RefusesMoreStepsThanThereAre) {
  EXPECT_THAT([&] { GrpoTrainer(grpo("few", 2), "never", World::alone(), 2); },
              ThrowsMessage<InputError>(HasSubstr(
                  "--profile: 2 steps after a first one are to be traced, but there are 2")));
  EXPECT_FALSE(std::filesystem::exists(path("few")));
}

TEST_F(Profile, SaysThatAFileCannotBeWritten) {
  write_file_atomic(path("file"), "");
  Trace trace;
  at::ones({3}).add_(1);
  EXPECT_THAT(
      [&] { trace.save(path("file") + "/trace.json"); },
      ThrowsMessage<Error>(HasSubstr("file/trace.json cannot be written: Not a directory")));
}

}  // namespace
}  // namespace caprl
