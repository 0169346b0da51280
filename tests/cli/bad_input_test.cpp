// What a user gets to see for wrong input: exit code 2, one sentence, and nothing written. The
// modules' own tests go through every case; here is one of each kind, through the commands.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <fstream>
#include <functional>

#include "caprl/core/files.h"
#include "caprl/io/json.h"
#include "support/json.h"
#include "training_commands.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

class BadInput : public TrainingCommands {
 protected:
  static void SetUpTestSuite() {
    make_world({2, 2, 1, 4, 2});
    folder_ = owner_->path();
    write_grpo_config(2, 4, 1);
  }
  void TearDown() override { fs::remove_all(folder_ / "run"); }

  static void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  static Outcome train(const std::vector<std::string>& overrides = {},
                       const std::string& config = "grpo.yaml") {
    return run_command("train", config, overrides);
  }

  /// The sentence of a training run that must not begin.
  static std::string refused(const std::vector<std::string>& overrides,
                             const std::string& config = "grpo.yaml") {
    const Outcome outcome = train(overrides, config);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_FALSE(fs::exists(folder_ / "run")) << "something was written";
    const size_t error = outcome.err.find("error: ");
    EXPECT_NE(error, std::string::npos) << outcome.err;
    const std::string sentence = outcome.err.substr(error + 7);
    EXPECT_EQ(std::count(sentence.begin(), sentence.end(), '\n'), 1) << sentence;
    return sentence;
  }

  /// The captioner's directory after a change; the sentence about it.
  static std::string refused_model(const std::function<void(const fs::path&)>& change) {
    const fs::path copy = folder_ / "changed";
    fs::remove_all(copy);
    fs::copy(folder_ / "captioner", copy, fs::copy_options::recursive);
    change(copy);
    return refused({"policy.model=" + copy.string()});
  }
  static void change_json(const fs::path& file, const json& patch) {
    json value = read_json(file);
    value.merge_patch(patch);
    std::ofstream(file) << value;
  }

  /// A second row that is the first one after a change; the sentence about it, after FILE:2.
  static std::string refused_row(const std::function<void(json&)>& change) {
    const std::string train_file = read_file(folder_ / "world/train.jsonl");
    const std::string first = train_file.substr(0, train_file.find('\n'));
    json second = json_of(first);
    change(second);
    write("world/changed.jsonl", first + "\n" + second.dump() + "\n");
    const std::string sentence =
        refused({"data.train_files=[" + path("world/changed.jsonl") + "]"});
    const std::string where = path("world/changed.jsonl") + ":2: ";
    EXPECT_THAT(sentence, testing::StartsWith(where));
    return sentence.substr(std::min(where.size(), sentence.size()));
  }

  inline static fs::path folder_;
};

TEST_F(BadInput, TheUnchangedRunWorks) {
  const Outcome outcome = train();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(folder_ / "run/checkpoints/step_000001/manifest.json"));
}

TEST_F(BadInput, Weights) {
  const char* weights = "model.safetensors";
  EXPECT_THAT(refused_model([&](const fs::path& dir) { fs::remove(dir / weights); }),
              HasSubstr(path("changed")));
  EXPECT_THAT(refused_model([&](const fs::path& dir) { fs::resize_file(dir / weights, 0); }),
              HasSubstr(weights));
  EXPECT_THAT(refused_model([&](const fs::path& dir) {
                fs::resize_file(dir / weights, fs::file_size(dir / weights) - 1);
              }),
              HasSubstr(weights));
  EXPECT_THAT(refused_model([&](const fs::path& dir) {
                fs::resize_file(dir / weights, fs::file_size(dir / weights) + 1);
              }),
              HasSubstr(weights));
  EXPECT_THAT(refused_model([&](const fs::path& dir) {
                fs::rename(dir / weights, dir / "model-00001-of-00001.safetensors");
                std::ofstream(dir / "model.safetensors.index.json")
                    << R"({"weight_map": {"ghost.weight": "model-00001-of-00001.safetensors"}})";
              }),
              HasSubstr("ghost.weight"));
}

TEST_F(BadInput, ModelFiles) {
  EXPECT_THAT(refused({"policy.model=" + path("none")}), HasSubstr(path("none")));
  EXPECT_THAT(refused({"reward.answerer.model=" + path("none")}), HasSubstr(path("none")));
  EXPECT_THAT(refused({"policy.model=" + path("answerer")}),
              HasSubstr("expected a vision-language model, got Qwen2ForCausalLM"));
  EXPECT_THAT(refused_model([](const fs::path& dir) {
                change_json(dir / "config.json", {{"architectures", {"NoSuchModel"}}});
              }),
              HasSubstr("names the unknown \"NoSuchModel\""));
  EXPECT_THAT(refused_model([](const fs::path& dir) {
                json config = read_json(dir / "config.json");
                config.contains("text_config") ? config["text_config"]["intermediate_size"] = 100
                                               : config["intermediate_size"] = 100;
                std::ofstream(dir / "config.json") << config;
              }),
              HasSubstr("mlp"));
  EXPECT_THAT(refused_model([](const fs::path& dir) {
                change_json(dir / "tokenizer.json", {{"model", {{"type", "Unigram"}}}});
              }),
              HasSubstr("Unigram"));
  EXPECT_THAT(refused_model([](const fs::path& dir) {
                std::ofstream(dir / "chat_template.jinja") << "{{ messages }}";
              }),
              HasSubstr("chat_template"));
  EXPECT_THAT(refused_model([](const fs::path& dir) {
                change_json(dir / "preprocessor_config.json",
                            {{"image_processor_type", "NoSuchProcessor"}});
              }),
              HasSubstr("NoSuchProcessor"));
}

TEST_F(BadInput, Rows) {
  const auto questions = [](json& row) -> json& { return row["reward_model"]["ground_truth"]; };
  EXPECT_THAT(refused_row([&](json& row) { questions(row) = json::array(); }),
              HasSubstr("expected a list of questions, got an empty list"));
  EXPECT_THAT(refused_row([&](json& row) {
                questions(row)[0]["choices"][1] = questions(row)[0]["choices"][0];
              }),
              HasSubstr("of a question"));
  EXPECT_THAT(refused_row([&](json& row) { questions(row)[0]["answer"] = "mauve"; }),
              HasSubstr("the answer 'mauve' of a question is none of its"));
  EXPECT_THAT(refused_row([](json& row) { row["prompt"][0]["content"] = "<image> <|image_pad|>"; }),
              HasSubstr("the prompt contains the reserved token '<|image_pad|>'"));
  EXPECT_THAT(refused_row([](json& row) {
                row["image"] = {{"path", "none.png"}};
              }),
              HasSubstr("none.png: no such file"));
}

TEST_F(BadInput, Images) {
  // Found in the first step: the run folder is there by then, but no checkpoint.
  const auto refused_image = [](const std::string& name) {
    const std::string train_file = read_file(folder_ / "world/train.jsonl");
    json row = json_of(train_file.substr(0, train_file.find('\n')));
    row["image"] = {{"path", name}};
    write("world/images.jsonl", row.dump() + "\n");
    const Outcome outcome = train({"data.train_files=[" + path("world/images.jsonl") + "]"});
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_FALSE(fs::exists(folder_ / "run/checkpoints"));
    fs::remove_all(folder_ / "run");
    const size_t error = outcome.err.find("error: ");
    const std::string where =
        path("world/images.jsonl") + ":1: image " + (folder_ / "world" / name).string() + ": ";
    EXPECT_THAT(outcome.err.substr(error + 7), testing::StartsWith(where));
    return outcome.err.substr(std::min(outcome.err.size(), error + 7 + where.size()));
  };
  write("world/empty.png", "");
  EXPECT_EQ(refused_image("empty.png"), "the image file is empty\n");
  write("world/text.png", "not an image");
  EXPECT_THAT(refused_image("text.png"), HasSubstr("JPEG"));
  const std::string png = read_file(folder_ / "world/images/train/000000.png");
  write("world/cut.png", png.substr(0, png.size() / 2));
  EXPECT_THAT(refused_image("cut.png"), HasSubstr("PNG"));
}

TEST_F(BadInput, AnImageTwoHundredTimesAsWideAsHigh) {
  const std::string train_file = read_file(folder_ / "world/train.jsonl");
  json row = json_of(train_file.substr(0, train_file.find('\n')));
  row["image"] = {{"bytes",  // a PNG of 201 x 1 grey pixels
                   "iVBORw0KGgoAAAANSUhEUgAAAMkAAAABCAAAAABRFtUAAAAADUlEQVR42mNkZxgmAAAHEwAJxOs/"
                   "zAAAAABJRU5ErkJggg=="}};
  write("world/wide.jsonl", row.dump() + "\n");
  const Outcome outcome = train({"data.train_files=[" + path("world/wide.jsonl") + "]"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr(path("world/wide.jsonl") +
                                     ":1: embedded image: an image of 201 x 1 pixels "
                                     "has an aspect ratio of 201, the limit is 200\n"));
}

TEST_F(BadInput, UnusualImagesWork) {
  json row = json_of(read_file(folder_ / "world/train.jsonl")
                         .substr(0, read_file(folder_ / "world/train.jsonl").find('\n')));
  std::string rows;
  for (const char* name : {"one_pixel.png", "cmyk.jpg", "grey_16bit.png", "animated.webp"}) {
    row["id"] = name;
    row["image"] = (fs::path(CAPRL_TEST_FILES) / "image/files" / name).string();
    rows += row.dump() + "\n";
  }
  write("world/unusual.jsonl", rows);
  const Outcome outcome = train({"data.train_files=[" + path("world/unusual.jsonl") + "]",
                                 "data.train_batch_size=4", "data.max_prompt_length=4096"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
}

TEST_F(BadInput, PromptsThatAreTooLong) {
  const Outcome outcome = train({"data.max_prompt_length=5"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(
      outcome.err,
      testing::ContainsRegex("train.jsonl:[12]: the prompt is too long: expected at most 5 tokens "
                             ".data.max_prompt_length., got [0-9]+\n"));
}

TEST_F(BadInput, Configs) {
  const std::string good = read_file(folder_ / "grpo.yaml");
  const auto refused_config = [&](const std::string& more) {
    write("changed.yaml", good + more);
    return refused({}, "changed.yaml");
  };
  const std::string file = path("changed.yaml");
  EXPECT_EQ(refused_config("  totl_steps: 2\n"),
            file + ":22:3: unknown key 'train.totl_steps'; did you mean 'train.total_steps'?\n");
  EXPECT_THAT(refused_config("  total_steps: 2\n"), HasSubstr(file + ":22:3: "));
  EXPECT_THAT(refused_config("  micro_tokens: many\n"), HasSubstr(file + ":22:17: "));
  EXPECT_THAT(refused_config("evl:\n  freq: 2\n"), HasSubstr("did you mean 'eval'?"));
  EXPECT_EQ(refused({"rollout.n=0"}).substr(0, 18), "--set rollout.n=0:");
  EXPECT_EQ(refused({"eval.freq=1"}),
            "config: 'eval.freq' is 1 but 'data.val_files' names no file\n");
  EXPECT_EQ(refused({"policy.dtype=float8"}),
            "config: 'policy.dtype': expected float32, bfloat16 or float64, got 'float8'\n");
  EXPECT_THAT(refused({"run.device=tpu"}), HasSubstr("config: 'run.device': expected cpu, cuda"));
}

TEST_F(BadInput, BadRowsMayBeSkipped) {
  const std::string train_file = read_file(folder_ / "world/train.jsonl");
  const std::string first = train_file.substr(0, train_file.find('\n'));
  json no_image = json_of(first);
  write("world/text.png", "not an image");
  no_image["id"] = "no-image";
  no_image["image"] = {{"path", "text.png"}};
  write("world/mixed.jsonl", first + "\n{\n" + no_image.dump() + "\n");
  const Outcome outcome =
      train({"data.train_files=[" + path("world/mixed.jsonl") + "]", "data.bad_rows=skip"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("mixed.jsonl:2: malformed JSON"));
  EXPECT_THAT(outcome.err, HasSubstr("1 bad rows skipped"));
  EXPECT_THAT(outcome.err, HasSubstr("mixed.jsonl:3: image "));
  EXPECT_THAT(read_file(folder_ / "run/metrics.jsonl"), HasSubstr("\"data/bad_rows\":1.0"));
}

}  // namespace
}  // namespace caprl
