// A run folder that another version of caprl has written.
#include "caprl/io/json.h"
#include "caprl/train/grpo_trainer.h"
#include "checkpoint/manifest.h"
#include "support/errors.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class OtherVersion : public TinyRun {
 protected:
  /// Trains a step, then gives the checkpoint that state, whole as far as the manifest tells.
  static void write_run(const std::string& name, const std::function<void(json&)>& change) {
    GrpoConfig config = grpo(name, 1);
    config.data.val_files = {};
    GrpoTrainer(config, "auto").run();
    const auto folder = checkpoint(name, 1);
    json state = read_json(folder / "state.json");
    change(state);
    write_file_atomic(folder / "state.json", state.dump());
    std::filesystem::remove(folder / "manifest.json");
    write_manifest(folder, 1, std::nullopt);
  }
  static void go_on(const std::string& name) {
    GrpoConfig config = grpo(name, 2);
    config.data.val_files = {};
    GrpoTrainer(config, "auto").run();
  }
};

TEST_F(OtherVersion, WhatItHasMoreIsPassedOver) {
  write_run("newer", [](json& state) {
    EXPECT_TRUE(state.at("caprl").is_string());
    state["caprl"] = "9.9.9";
    state["also"] = {{"this", 1}};
  });
  go_on("newer");
  EXPECT_TRUE(std::filesystem::exists(checkpoint("newer", 2)));
}

TEST_F(OtherVersion, WhatItLacksIsNamedAndNothingIsWritten) {
  write_run("older", [](json& state) {
    state["caprl"] = "0.0.1";
    state.erase("data_batches");
  });
  const std::string metrics = read_file(path("older/metrics.jsonl"));
  const std::string said = input_error([] { go_on("older"); });
  EXPECT_THAT(said, HasSubstr("state.json: written by caprl 0.0.1, which caprl"));
  EXPECT_THAT(said, HasSubstr("data_batches"));
  EXPECT_EQ(read_file(path("older/metrics.jsonl")), metrics);
  EXPECT_FALSE(std::filesystem::exists(checkpoint("older", 2)));
}

}  // namespace
}  // namespace caprl
