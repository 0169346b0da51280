// `caprl qa` in a test: the demonstration's world and its captioner.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caprl/core/config.h"
#include "caprl/io/json.h"
#include "caprl/tasks/qa.h"
#include "caprl/train/sft_trainer.h"
#include "support/tiny_run.h"

namespace caprl {

inline const std::string kQaModel = CAPRL_SOURCE_DIR "/tools/demo_world/models/captioner";

class Qa : public TinyRun {
 protected:
  static void SetUpTestSuite() {
    TinyRun::SetUpTestSuite();
    teach();
  }

  /// A model that answers with letters, some of them right: a few steps on the world's questions.
  static void teach() {
    std::string rows;
    for (const nlohmann::json& row : lines(folder_ / "world/train.jsonl"))
      for (const nlohmann::json& question : row.at("reward_model").at("ground_truth"))
        for (const bool blind : {false, true}) {
          std::string text = "question : " + question.at("question").get<std::string>();
          for (const nlohmann::json& choice : question.at("choices"))
            text += "\n" + choice.get<std::string>();
          nlohmann::json content = nlohmann::json::array();
          if (!blind) content.push_back({{"type", "image"}, {"image", row.at("image").at("path")}});
          content.push_back({{"type", "text"}, {"text", text}});
          rows +=
              nlohmann::json{
                  {"messages", nlohmann::json::array({{{"role", "user"}, {"content", content}}})},
                  {"response", question.at("answer")}}
                  .dump() +
              "\n";
        }
    write_file_atomic(folder_ / "world/letters_sft.jsonl", rows);
    SftConfig config = sft("letters", "captioner", 60);
    config.policy.model = kQaModel;
    config.data.train_files = {path("world/letters_sft.jsonl")};
    config.data.train_batch_size = 16;
    config.checkpoint.save_freq = 60;
    SftTrainer(config, "auto").run();
    model_ = (checkpoint("letters", 60) / "model").string();
  }

  /// Questions of the world's rows, answered by the taught model.
  static QaConfig config(const std::string& name) {
    QaConfig config;
    config.run.dir = path(name);
    config.run.threads = 1;
    config.data.files = {path("world/train.jsonl")};
    config.data.given_questions = true;
    config.data.batch_items = 5;
    config.filter.model = model_;
    config.filter.dtype = "float32";
    config.filter.prompt = "question : {question}";
    config.filter.abstain_choice = "unknown";
    config.filter.temperature = 1;
    config.filter.min_visual_accuracy.reset();
    config.filter.max_text_accuracy = 0.7;
    return config;
  }
  static QaConfig writing(const std::string& name) {
    QaConfig c = config(name);
    c.data.given_questions = false;
    c.writer.model = kQaModel;
    c.writer.dtype = "float32";
    c.writer.prompt = " describe the image .";
    c.writer.temperature = 1;
    c.writer.max_new_tokens = 24;
    return c;
  }
  static std::string file_of(const QaConfig& config, const std::string& name) {
    write_file_atomic(folder_ / (name + ".yaml"), config_to_yaml(config));
    return path(name + ".yaml");
  }
  /// Lines of a stage by index, once each, of all ranks.
  static std::map<int64_t, nlohmann::json> records(const std::string& run,
                                                   const std::string& stem) {
    std::map<int64_t, nlohmann::json> result;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / run)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(stem) || std::filesystem::file_size(entry.path()) == 0) continue;
      for (const nlohmann::json& line : lines(entry.path())) {
        const auto [place, is_new] = result.emplace(line.at("index").get<int64_t>(), line);
        EXPECT_TRUE(is_new) << "done twice: " << line;
      }
    }
    return result;
  }
  static std::map<std::string, std::string> outputs(const std::string& run) {
    std::map<std::string, std::string> contents;
    for (const char* name : {"questions.jsonl", "dropped.jsonl"})
      contents[name] = read_file(folder_ / run / name);
    nlohmann::json result = read_json(folder_ / run / "result.json");
    result.erase("output");
    contents["result"] = result.dump();
    return contents;
  }
  /// What one process without interruption gives.
  static const std::map<std::string, std::string>& whole() {
    static const std::map<std::string, std::string> kWhole = [] {
      result_ = curate_questions(config("whole"));
      return outputs("whole");
    }();
    return kWhole;
  }
  inline static QaResult result_;
  inline static std::string model_;
};

}  // namespace caprl
