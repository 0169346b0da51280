// `caprl init --vision --text`: a captioner of two models.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <fstream>

#include "caprl/core/files.h"
#include "caprl/io/json.h"
#include "caprl/models/model.h"
#include "caprl/text/tokenizer.h"
#include "caprl/text/word_tokenizer.h"
#include "support.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Join : public testing::Test {
 protected:
  void SetUp() override {
    write_tokenizer("small", {"red", "blue"});
    write_tokenizer("large", {"red", "blue", "circle", "square", "what"});
    init({"--preset", "qwen2_5_vl_tiny", "--tokenizer", path("small"), "--seed", "1"}, "vision");
    text("text", "large");
  }

  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  void write_tokenizer(const std::string& name, std::vector<std::string> words) const {
    fs::create_directories(path(name));
    write_word_tokenizer(path(name), {.words = std::move(words), .images = true});
  }

  Outcome run_init(std::vector<std::string> arguments, const std::string& out) const {
    arguments.insert(arguments.begin(), "init");
    arguments.insert(arguments.end(), {"--out", path(out)});
    return caprl(arguments);
  }
  void init(std::vector<std::string> arguments, const std::string& out) const {
    const Outcome outcome = run_init(std::move(arguments), out);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  /// Another width, head and depth than the captioner's decoder.
  void text(const std::string& name, const std::string& tokenizer, const json& changes = {}) const {
    init({"--preset", "qwen2_5_tiny", "--tokenizer", path(tokenizer)}, name + "_preset");
    json config = read_json(path(name + "_preset") + "/config.json");
    config.update({{"hidden_size", 96},
                   {"num_attention_heads", 3},
                   {"num_key_value_heads", 1},
                   {"num_hidden_layers", 3}});
    if (changes.is_object()) config.update(changes);
    std::ofstream(path(name + ".json")) << config;
    init({"--config", path(name + ".json"), "--tokenizer", path(tokenizer), "--seed", "2"}, name);
  }

  std::string refused(const std::string& vision, const std::string& text) const {
    const Outcome outcome = run_init({"--vision", path(vision), "--text", path(text)}, "refused");
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_FALSE(fs::exists(path("refused")));
    return outcome.err;
  }

  json score(const std::string& model, const json& row) const {
    std::ofstream(path("in.jsonl")) << row << '\n';
    const Outcome outcome = caprl({"score", "--model", path(model), "--input", path("in.jsonl")});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return json::parse(outcome.out);
  }

  TempFolder folder_;
};

TEST_F(Join, HasTheTowerOfOneAndTheDecoderOfTheOther) {
  init({"--vision", path("vision"), "--text", path("text"), "--seed", "3"}, "joined");
  const auto joined = Model::load(path("joined"), {}), vision = Model::load(path("vision"), {}),
             text = Model::load(path("text"), {});
  EXPECT_EQ(joined->traits().architecture, "Qwen2_5_VLForConditionalGeneration");
  EXPECT_EQ(joined->traits().image_token_id,
            Tokenizer::load(path("large"))->token_id("<|image_pad|>"));
  std::vector<std::string> fresh;
  for (const ParameterSpec& spec : joined->parameters().specs()) {
    const Model& source = part_of(spec.name) == ModelPart::kLanguage ? *text : *vision;
    const at::Tensor& theirs = source.parameters().get(spec.name);
    if (theirs.sizes() == at::IntArrayRef(spec.shape))
      EXPECT_TRUE(theirs.equal(joined->parameters().get(spec.name))) << spec.name;
    else
      fresh.push_back(spec.name);
  }
  EXPECT_THAT(fresh,
              testing::ElementsAre("visual.merger.mlp.2.weight", "visual.merger.mlp.2.bias"));
  EXPECT_GT(joined->parameters().get(fresh[0]).abs().sum().item<double>(), 0);
}

TEST_F(Join, ReadsTextAsTheTextModelDoes) {
  init({"--vision", path("vision"), "--text", path("text")}, "joined");
  const json row = {{"prompt", "red square what"}, {"response", "blue circle"}};
  const json expected = score("text", row).at("logprobs"),
             got = score("joined", row).at("logprobs");
  ASSERT_EQ(expected.size(), got.size());
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i].get<double>(), expected[i].get<double>(), 1e-5);
  const json image = {{"type", "image"}, {"image", CAPRL_TEST_FILES "/image/files/420.jpg"}};
  const json seen = {
      {"messages",
       {{{"role", "user"}, {"content", {image, {{"type", "text"}, {"text", "what"}}}}}}},
      {"response", "red circle"}};
  EXPECT_EQ(score("joined", seen).at("logprobs").size(), 2u);
}

TEST_F(Join, RefusesWhatDoesNotFit) {
  EXPECT_THAT(refused("text", "text"), HasSubstr("expected Qwen2-VL, Qwen2.5-VL or Qwen3-VL"));
  EXPECT_THAT(refused("vision", "vision"), HasSubstr("expected a text model"));
  text("blind", "large");
  for (const char* name : {"/tokenizer.json", "/tokenizer_config.json"}) {
    std::string content = read_file(path("blind") + name);
    for (size_t at; (at = content.find("|vision_start|")) != std::string::npos;)
      content.replace(at, 14, "|something|");
    std::ofstream(path("blind") + name) << content;
  }
  EXPECT_THAT(refused("vision", "blind"), HasSubstr("the vocabulary has no <|vision_start|>"));
  text("odd", "large", {{"num_attention_heads", 8}, {"num_key_value_heads", 2}});  // heads of 12
  EXPECT_THAT(refused("vision", "odd"), HasSubstr("heads of 12 cannot be divided"));
  text("stretched", "large");
  json config = read_json(path("stretched") + "/config.json");
  config["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  std::ofstream(path("stretched") + "/config.json") << config;
  EXPECT_THAT(refused("vision", "stretched"), HasSubstr("rope_scaling: expected none"));
  const Outcome outcome = run_init({"--vision", path("vision")}, "refused");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--text"));
}

}  // namespace
}  // namespace caprl
