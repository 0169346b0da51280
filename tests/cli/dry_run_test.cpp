// `caprl train --dry-run`: what it finds wrong, what it predicts, and that it writes nothing.
#include "caprl/core/files.h"
#include "caprl/models/presets.h"
#include "training_commands.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class DryRun : public TrainingCommands {
 protected:
  static void SetUpTestSuite() {
    make_world({12, 2, 2, 4, 2});
    write_grpo_config(4, 8, 10, fmt::format("  val_files: [{}]\n", path("world/heldout.jsonl")),
                      "eval:\n  freq: 5\n");
  }

  static Outcome run(const std::vector<std::string>& settings, std::vector<std::string> more = {}) {
    more.insert(more.begin(), "--dry-run");
    return run_command("train", "grpo.yaml", settings, more);
  }
  static std::string failed(const std::string& check, const std::vector<std::string>& settings,
                            std::vector<std::string> more = {}) {
    return failed_check(check, run(settings, std::move(more)));
  }
};

TEST_F(DryRun, WhatStartsIsSaidToStart) {
  const Outcome outcome = run({});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("Training would start"), HasSubstr("Beside that the process itself"),
                    HasSubstr("12 rows, every image's header"), HasSubstr("starts at step 1"),
                    HasSubstr("10 steps: 0:"), HasSubstr("3 evaluations: 0:"),
                    HasSubstr("Predicted for this machine")));
  for (const char* phase : {"\n  gen ", "\n  reward ", "\n  update "})
    EXPECT_THAT(outcome.out, HasSubstr(phase));
  EXPECT_THAT(outcome.out, Not(HasSubstr("FAILED")));
  EXPECT_FALSE(fs::exists(path("run")));
  EXPECT_EQ(caprl({"train", "--config", path("grpo.yaml"), "--set", "train.total_steps=1", "--set",
                   "eval.freq=0", "--set", "run.dir=" + path("trained")})
                .exit_code,
            0)
      << "what --dry-run said";
}

TEST_F(DryRun, EveryRowsImageIsLookedAt) {
  fs::copy(path("world"), path("broken"), fs::copy_options::recursive);
  std::string rows = read_file(path("broken/train.jsonl"));
  const size_t last = rows.rfind("images/");
  ASSERT_NE(last, std::string::npos);
  const std::string image = rows.substr(last, rows.find('"', last) - last);
  owner_->write("broken/" + image, "no image");
  const std::string files = "data.train_files=[" + path("broken/train.jsonl") + "]";
  EXPECT_THAT(failed("data", {files}), AllOf(HasSubstr("1 of 12 rows are bad"),
                                             HasSubstr("train.jsonl:12"), HasSubstr(image)));
  const Outcome skipping = run({files, "data.bad_rows=skip"});
  EXPECT_EQ(skipping.exit_code, 0) << skipping.out;
  EXPECT_THAT(skipping.out, HasSubstr("11 rows, every image's header read"));
  EXPECT_THAT(skipping.out, HasSubstr("1 bad rows are skipped"));
  EXPECT_THAT(failed("data", {"data.max_prompt_length=5"}),
              AllOf(HasSubstr("12 of 12 rows are bad"), HasSubstr("the prompt is too long"),
                    HasSubstr("… and 7 more")));
}

TEST_F(DryRun, ModelsAreCheckedAsTrainingDoes) {
  EXPECT_THAT(failed("policy", {"policy.model=" + path("nowhere")}), HasSubstr("nowhere"));
  EXPECT_THAT(failed("policy", {"policy.model=" + path("answerer")}),
              HasSubstr("expected a vision-language model"));
  EXPECT_THAT(failed("reward", {"reward.answerer.model=" + path("nowhere")}), HasSubstr("nowhere"));
  fs::copy(path("captioner"), path("cut"));
  fs::resize_file(path("cut/model.safetensors"), fs::file_size(path("cut/model.safetensors")) - 1);
  EXPECT_THAT(failed("policy", {"policy.model=" + path("cut")}), HasSubstr("model.safetensors"));
}

TEST_F(DryRun, PlacesAndDevices) {
  EXPECT_THAT(failed("run", {"run.dir=" + path("grpo.yaml") + "/run"}), HasSubstr("is a file"));
  EXPECT_THAT(failed("device", {"run.device=cuda:7"}), HasSubstr("run.device"));
  EXPECT_THAT(failed("device", {}, {"--ranks", "3"}), HasSubstr("multiple of the 3 processes"));
  EXPECT_THAT(failed("disk", {"train.total_steps=1000000000", "checkpoint.save_freq=1",
                              "checkpoint.keep_last=1000000", "checkpoint.keep_best=1000000"}),
              HasSubstr("smaller checkpoint.keep_last"));
}

TEST_F(DryRun, ARunThatIsThereAlready) {
  const std::string dir = "run.dir=" + path("continued");
  ASSERT_EQ(caprl({"train", "--config", path("grpo.yaml"), "--set", "train.total_steps=1", "--set",
                   "eval.freq=0", "--set", dir})
                .exit_code,
            0);
  EXPECT_THAT(run({dir}).out, HasSubstr("continues after step 1"));
  EXPECT_THAT(failed("run", {dir}, {"--resume", "never"}), HasSubstr("already has checkpoints"));
}

/// The published recipe's models, of which only config.json is there: not to be trained, but the
/// plan is made.
TEST_F(DryRun, PlansForOtherMachines) {
  std::vector<std::string> settings;
  for (const auto& [key, preset] : {std::pair{"policy.model", "qwen2_5_vl_3b"},
                                    std::pair{"reward.answerer.model", "qwen2_5_3b"}}) {
    fs::create_directories(path(preset));
    owner_->write(std::string(preset) + "/config.json", preset_config(preset).dump());
    settings.push_back(fmt::format("{}={}", key, path(preset)));
  }
  for (const char* setting :
       {"preset=release", "data.train_batch_size=128", "rollout.n=8", "policy.dtype=bfloat16",
        "reward.answerer.dtype=bfloat16", "rollout.response_length=4096"})
    settings.emplace_back(setting);
  const std::string h100 = failed("memory", settings, {"--machine", "h100"});
  EXPECT_THAT(h100, AllOf(HasSubstr("FAILED  policy"), HasSubstr("no weights"),
                          HasSubstr("Predicted for h100"), HasSubstr("\n  1024"),
                          ContainsRegex("it fits.*\n *with [0-9]+ ranks \\([0-9.]+ GB\\)")));
  EXPECT_THAT(run(settings, {"--machine", "h200"}).out, HasSubstr("ok      memory"));
  EXPECT_EQ(run({}, {"--machine", "abacus"}).err,
            "error: unknown machine 'abacus'; expected h100, h200 or a100\n");
}

}  // namespace
}  // namespace caprl
