// Training commands on the demonstration's world and untrained models, in a folder that goes away
// with the test suite.
#pragma once
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <vector>

#include "datasets.h"
#include "model_dirs.h"
#include "support.h"
#include "support/temp_folder.h"

namespace caprl {

class TrainingCommands : public testing::Test {
 protected:
  static void make_world(const demo::DatasetSizes& sizes) {
    owner_ = std::make_unique<TempFolder>();
    demo::write_datasets(*owner_ / "world", sizes, 1);
    demo::write_captioner(*owner_ / "captioner", 1);
    demo::write_answerer(*owner_ / "answerer", 2);
  }
  static void TearDownTestSuite() { owner_.reset(); }

  static std::string path(const std::string& name) { return (*owner_ / name).string(); }

  /// grpo.yaml; `data` and `sections` are further lines.
  static void write_grpo_config(int64_t batch, int64_t response_length, int64_t steps,
                                const std::string& data = {}, const std::string& sections = {}) {
    owner_->write("grpo.yaml", fmt::format(R"(run:
  dir: {0}/run
  threads: 1
policy:
  model: {0}/captioner
  dtype: float32
data:
  train_files: [{0}/world/train.jsonl]
  train_batch_size: {1}
{4}rollout:
  n: 2
  response_length: {2}
reward:
  draw: all
  answerer:
    model: {0}/answerer
    dtype: float32
    mode: letter_logits
    assistant_prefix: ""
train:
  total_steps: {3}
{5})",
                                           owner_->path().string(), batch, response_length, steps,
                                           data, sections));
  }

  static Outcome run_command(const std::string& command, const std::string& config,
                             const std::vector<std::string>& settings,
                             const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {command, "--config", path(config)};
    for (const std::string& setting : settings) {
      arguments.emplace_back("--set");
      arguments.push_back(setting);
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return caprl(std::move(arguments));
  }

  /// One check of a dry run fails, and the program says so; gives all that was printed.
  static std::string failed_check(const std::string& check, const Outcome& outcome) {
    EXPECT_EQ(outcome.exit_code, 2) << outcome.out << outcome.err;
    EXPECT_THAT(outcome.err,
                testing::ContainsRegex("training would not start: [0-9]+ of [0-9]+ checks"));
    EXPECT_THAT(outcome.out, testing::HasSubstr("FAILED  " + check));
    EXPECT_THAT(outcome.out, testing::Not(testing::HasSubstr("Training would start")));
    return outcome.out;
  }

  static inline std::unique_ptr<TempFolder> owner_;
};

}  // namespace caprl
