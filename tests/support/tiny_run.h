// A run small enough for tests: the demonstration's world and untrained models, in a folder that
// goes away with the test suite.
#pragma once
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "caprl/core/files.h"
#include "caprl/io/jsonl.h"
#include "caprl/io/safetensors.h"
#include "caprl/train/config.h"
#include "datasets.h"
#include "model_dirs.h"
#include "support/temp_folder.h"
#include "words.h"

namespace caprl {

class TinyRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    owner_ = std::make_unique<TempFolder>();
    folder_ = owner_->path();
    demo::write_datasets(folder_ / "world", {12, 4, 2, 16, 4}, 3);
    demo::write_captioner(folder_ / "captioner", 5);
    demo::write_answerer(folder_ / "answerer", 6);
  }
  static void TearDownTestSuite() { owner_.reset(); }

  static std::string path(const std::string& name) { return (folder_ / name).string(); }

  static GrpoConfig grpo(const std::string& name, int64_t steps) {
    GrpoConfig config;
    config.run.dir = path(name);
    config.run.threads = 1;
    config.policy.model = path("captioner");
    config.policy.dtype = config.reference.dtype = "float32";
    config.data.train_files = {path("world/train.jsonl")};
    config.data.val_files = {path("world/heldout.jsonl")};
    config.data.train_batch_size = 5;  // does not divide the 12 images
    config.rollout.n = 4;
    config.rollout.response_length = 6;
    config.reward.draw = QuestionDraw::kAll;
    config.reward.answerer.model = path("answerer");
    config.reward.answerer.mode = AnswerMode::kLetterLogits;
    config.reward.answerer.prompt = demo::kAnswererPrompt;
    config.reward.answerer.assistant_prefix = "";
    config.optimizer.lr = 1e-3;
    config.train.total_steps = steps;
    config.checkpoint.save_freq = 2;
    return config;
  }

  static SftConfig sft(const std::string& name, const std::string& model, int64_t steps) {
    SftConfig config;
    config.run.dir = path(name);
    config.run.threads = 1;
    config.policy.model = path(model);
    config.policy.dtype = "float32";
    config.data.train_files = {path("world/" + model + "_sft.jsonl")};
    config.data.train_batch_size = 4;
    config.optimizer.lr = 2e-3;
    config.train.total_steps = steps;
    config.checkpoint.save_freq = 2;
    return config;
  }

  static std::map<std::string, at::Tensor> tensors(const std::filesystem::path& path) {
    const SafetensorsFile file(path);
    std::map<std::string, at::Tensor> tensors;
    for (const auto& entry : file.entries()) tensors[entry.name] = file.tensor(entry.name).clone();
    return tensors;
  }
  static std::map<std::string, at::Tensor> weights(const std::filesystem::path& model_dir) {
    return tensors(model_dir / "model.safetensors");
  }
  static std::filesystem::path checkpoint(const std::string& run, int64_t step) {
    return folder_ / run / "checkpoints" / fmt::format("step_{:06}", step);
  }
  static std::map<std::string, at::Tensor> weights(const std::string& run, int64_t step) {
    return weights(checkpoint(run, step) / "model");
  }
  /// What a run with adapters has saved.
  static std::map<std::string, at::Tensor> adapter(const std::string& run, int64_t step) {
    return tensors(checkpoint(run, step) / "model" / kAdapterWeights);
  }

  /// Lines of a JSONL file, plain or zstd.
  static std::vector<nlohmann::json> lines(const std::filesystem::path& file) {
    std::vector<nlohmann::json> values;
    JsonlReader reader(file);
    while (auto line = reader.next()) values.push_back(std::move(line->value));
    return values;
  }
  /// The metrics of a run; with `comparable` without those that measure the machine.
  static std::vector<nlohmann::json> metrics(const std::string& run, bool comparable = false) {
    auto values = lines(folder_ / run / "metrics.jsonl");
    if (!comparable) return values;
    for (nlohmann::json& line : values)
      for (auto item = line.begin(); item != line.end();)
        item = item.key().starts_with("timing_s/") || item.key() == "perf/throughput" ||
                       item.key().ends_with("_per_s") || item.key().starts_with("perf/rank_idle_s")
                   ? line.erase(item)
                   : std::next(item);
    return values;
  }

  /// Every file of a run by relative path: a hash of its bytes; what measures the machine or names
  /// the folder is left out.
  static std::map<std::string, std::string> contents(const std::string& run) {
    std::map<std::string, std::string> hashes;
    const std::filesystem::path root = folder_ / run;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      const std::string name = std::filesystem::relative(entry.path(), root).string();
      if (!entry.is_regular_file() || name == "metrics.jsonl" || name == "config.yaml" ||
          name.starts_with("tensorboard/"))
        continue;
      hashes[name] = hash_file(entry.path());
    }
    return hashes;
  }

  static void expect_same_run(const std::string& one, const std::string& other) {
    EXPECT_EQ(contents(one), contents(other));
    EXPECT_EQ(metrics(one, true), metrics(other, true));
  }

  inline static std::unique_ptr<TempFolder> owner_;
  inline static std::filesystem::path folder_;
};

}  // namespace caprl
