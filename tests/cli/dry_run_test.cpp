// `caprl train --dry-run`: a prediction from two config.json files, and nothing else.
#include <gmock/gmock.h>

#include "caprl/core/files.h"
#include "caprl/models/presets.h"
#include "support.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class DryRun : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* preset : {"qwen2_5_vl_3b", "qwen2_5_3b"}) {
      std::filesystem::create_directories(folder_ / preset);
      write_file_atomic(folder_ / preset / "config.json", preset_config(preset).dump());
    }
  }
  Outcome run(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {
        "train",
        "--config",
        CAPRL_SOURCE_DIR "/configs/grpo_3b.yaml",
        "--dry-run",
        "--set",
        "policy.model=" + (folder_ / "qwen2_5_vl_3b").string(),
        "--set",
        "reward.answerer.model=" + (folder_ / "qwen2_5_3b").string(),
        "--set",
        "run.dir=" + (folder_ / "run").string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return caprl(std::move(arguments));
  }
  TempFolder folder_;
};

TEST_F(DryRun, PredictsAndTrainsNothing) {
  const Outcome outcome = run();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("Seconds of a step on h100"), HasSubstr("\n  1024"),
                                 HasSubstr("does not fit")));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
  EXPECT_THAT(run({"--machine", "h200"}).out, Not(HasSubstr("does not fit")));
}

TEST_F(DryRun, SaysWhatIsMissing) {
  EXPECT_EQ(run({"--machine", "abacus"}).err,
            "error: unknown machine 'abacus'; expected h100, h200 or a100\n");
  std::filesystem::remove(folder_ / "qwen2_5_3b/config.json");
  const Outcome outcome = run();
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr((folder_ / "qwen2_5_3b/config.json").string()));
  EXPECT_EQ(outcome.out, "");
}

}  // namespace
}  // namespace caprl
