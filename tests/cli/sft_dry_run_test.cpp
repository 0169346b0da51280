// `caprl sft --dry-run`: the checks and the plan of supervised training.
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

class SftDryRun : public TrainingCommands {
 protected:
  static void SetUpTestSuite() {
    make_world({4, 2, 6, 4, 2});
    write_config("captioner");
    write_config("answerer");
  }

  static void write_config(const std::string& model) {
    owner_->write(model + ".yaml", fmt::format(R"(run:
  dir: {0}/run
  threads: 1
policy:
  model: {0}/{1}
  dtype: float32
data:
  train_files: [{0}/world/{1}_sft.jsonl]
  train_batch_size: 4
train:
  total_steps: 10
  micro_tokens: 2048
)",
                                               owner_->path().string(), model));
  }

  static Outcome run(const std::string& model, const std::vector<std::string>& settings,
                     const std::vector<std::string>& more = {}) {
    return run_command("sft", model + ".yaml", settings, more);
  }
  static Outcome dry_run(const std::string& model, const std::vector<std::string>& settings = {},
                         std::vector<std::string> more = {}) {
    more.emplace_back("--dry-run");
    return run(model, settings, std::move(more));
  }
};

TEST_F(SftDryRun, WhatStartsIsSaidToStart) {
  for (const char* model : {"captioner", "answerer"}) {
    const Outcome outcome = dry_run(model);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
    EXPECT_THAT(outcome.out,
                AllOf(HasSubstr("Training would start"), HasSubstr("starts at step 1"),
                      HasSubstr("\n  update "), HasSubstr("10 steps: 0:"), Not(HasSubstr("FAILED")),
                      Not(HasSubstr("\n  gen ")), Not(HasSubstr("reward"))));
    EXPECT_FALSE(fs::exists(path("run")));
    EXPECT_EQ(run(model, {"train.total_steps=1", "run.dir=" + path("trained_") + model}).exit_code,
              0)
        << "what --dry-run said";
  }
}

/// Lengths counted by hand: the demonstration's words are tokens, a response ends with one more.
TEST_F(SftDryRun, LengthsAreTheData) {
  const std::string file = owner_->write(
      "three.jsonl",
      R"({"id": "1", "messages": [{"role": "user", "content": "a red circle"}], "response": "a"}
{"id": "2", "messages": [{"role": "user", "content": "a red circle"}], "response": "a red circle"}
{"id": "3", "messages": [{"role": "user", "content": "a red circle"}], "response": "a red"}
)");
  const Outcome outcome = dry_run("answerer", {"data.train_files=[" + file + "]"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("3 rows; prompts of "));
  EXPECT_THAT(outcome.out, HasSubstr("; responses of 3, at most 4"));
  EXPECT_THAT(dry_run("captioner").out, HasSubstr("rows, every image's header read; prompts"));
}

TEST_F(SftDryRun, FaultsAreFound) {
  const std::string file =
      owner_->write("bad.jsonl", R"({"id": "1", "messages": [], "response": "a"})");
  EXPECT_THAT(failed_check("data", dry_run("answerer", {"data.train_files=[" + file + "]"})),
              AllOf(HasSubstr("1 of 1 rows are bad"), HasSubstr("bad.jsonl:1")));
  failed_check("policy", dry_run("answerer", {"policy.model=" + path("nowhere")}));
  failed_check("run", dry_run("answerer", {"run.dir=" + path("answerer.yaml") + "/run"}));
  failed_check("device", dry_run("answerer", {}, {"--ranks", "3"}));
  failed_check("disk",
               dry_run("answerer", {"train.total_steps=1000000000", "checkpoint.save_freq=1",
                                    "checkpoint.keep_last=1000000"}));
}

/// A published model of which only config.json is there. In bf16 its 3.75 billion weights are 7.5
/// GB, their gradients in fp32 15, and AdamW keeps three more such values each.
TEST_F(SftDryRun, PlansForOtherMachines) {
  fs::create_directories(path("qwen2_5_vl_3b"));
  owner_->write("qwen2_5_vl_3b/config.json", preset_config("qwen2_5_vl_3b").dump());
  const std::vector<std::string> settings = {"policy.model=" + path("qwen2_5_vl_3b"),
                                             "policy.dtype=bfloat16", "train.micro_tokens=16384"};
  const auto on = [&](const char* ranks) {
    return failed_check(
        "policy", dry_run("captioner", settings,
                          {"--prompt-tokens", "1300", "--image-tokens", "1250", "--response-tokens",
                           "300", "--machine", "h100", "--ranks", ranks}));
  };
  const std::string one = on("1");
  EXPECT_THAT(one, AllOf(HasSubstr("Predicted for h100"),
                         HasSubstr("prompts of 1300 tokens, responses of 300, at most 300."),
                         ContainsRegex("\n  update +7\\.5[0-9] +15\\.0[0-9] +45\\.")));
  EXPECT_THAT(one, ContainsRegex("FAILED  memory.*\n *with --set train\\.[a-z_]+=[^\n]*GB"));
  EXPECT_THAT(one, Not(HasSubstr("rollout.")));
  EXPECT_THAT(on("4"), AllOf(HasSubstr("Memory of each of 4 ranks"), HasSubstr("ok      memory")));
  // No row was read, since the tokenizer is missing: there are the given lengths alone.
  EXPECT_THAT(failed_check("plan", dry_run("captioner", settings, {"--machine", "h100"})),
              HasSubstr("name --prompt-tokens and --response-tokens"));
}

}  // namespace
}  // namespace caprl
