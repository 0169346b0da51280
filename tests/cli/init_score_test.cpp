// `caprl init` and `caprl score`: a model directory is made, then run.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

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

/// Shared by all tests of the file: a tokenizer, a vision-language and a text model.
class InitAndScore : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    owner_ = std::make_unique<TempFolder>();
    folder_ = owner_->path();
    fs::create_directories(folder_ / "tokenizer");
    write_word_tokenizer(folder_ / "tokenizer",
                         {.words = {"red", "blue", "circle", "square", "what"},
                          .images = true,
                          .default_system = "You are a helpful assistant."});
    for (const char* preset : {"qwen2_5_vl_tiny", "qwen2_5_tiny"})
      ASSERT_EQ(caprl({"init", "--preset", preset, "--out", path(preset), "--tokenizer",
                       path("tokenizer"), "--seed", "5"})
                    .exit_code,
                0);
  }
  static void TearDownTestSuite() { owner_.reset(); }

  static std::string path(const std::string& name) { return (folder_ / name).string(); }
  static std::string image(const std::string& name) {
    return std::string(CAPRL_TEST_FILES) + "/image/files/" + name;
  }
  static void write_lines(const std::string& text) { std::ofstream(path("in.jsonl")) << text; }
  static Outcome score(const std::vector<json>& lines, std::vector<std::string> more = {},
                       const std::string& model = "qwen2_5_vl_tiny") {
    std::string text;
    for (const json& line : lines) text += line.dump() + "\n";
    write_lines(text);
    std::vector<std::string> arguments{"score", "--model", path(model), "--input",
                                       path("in.jsonl")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return caprl(arguments);
  }
  /// The message of a refused line, without its "error: FILE:".
  static std::string refused(const json& line, std::vector<std::string> more = {},
                             const std::string& model = "qwen2_5_vl_tiny") {
    const Outcome outcome = score({line}, std::move(more), model);
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_EQ(outcome.out, "");
    const std::string start = "error: " + path("in.jsonl") + ":";
    EXPECT_THAT(outcome.err, testing::StartsWith(start));
    return outcome.err.substr(std::min(start.size(), outcome.err.size()));
  }

  inline static std::unique_ptr<TempFolder> owner_;
  inline static fs::path folder_;
};

TEST_F(InitAndScore, InitWritesAWholeModelDirectory) {
  for (const char* file : {"config.json", "generation_config.json", "preprocessor_config.json",
                           "model.safetensors", "tokenizer.json", "chat_template.jinja"})
    EXPECT_TRUE(fs::exists(folder_ / "qwen2_5_vl_tiny" / file)) << file;
  EXPECT_FALSE(fs::exists(folder_ / "qwen2_5_tiny" / "preprocessor_config.json"));
  const auto model = Model::load(folder_ / "qwen2_5_vl_tiny", {});
  const auto tokenizer = Tokenizer::load(folder_ / "tokenizer");
  EXPECT_EQ(model->traits().image_token_id, tokenizer->token_id("<|image_pad|>"));
  EXPECT_THAT(model->traits().eos_ids, testing::ElementsAre(*tokenizer->token_id("<|im_end|>")));
  const auto again = Model::random(read_json(folder_ / "qwen2_5_vl_tiny" / "config.json"), 5, {});
  for (const auto& spec : model->parameters().specs())
    EXPECT_TRUE(at::equal(model->parameters().get(spec.name), again->parameters().get(spec.name)));
}

TEST_F(InitAndScore, InitWithAConfigAndADtype) {
  json config = read_json(folder_ / "qwen2_5_tiny" / "config.json");
  config["hidden_size"] = 32;
  std::ofstream(path("own.json")) << config;
  ASSERT_EQ(caprl({"init", "--config", path("own.json"), "--out", path("own"), "--dtype",
                   "bfloat16", "--tokenizer", path("tokenizer")})
                .exit_code,
            0);
  EXPECT_EQ(Model::load(path("own"), {})->traits().hidden_size, 32);
  EXPECT_EQ(read_json(path("own") + "/config.json")["torch_dtype"], "bfloat16");
}

TEST_F(InitAndScore, InitFaultsLeaveNothing) {
  const auto message = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "init");
    const Outcome outcome = caprl(arguments);
    EXPECT_EQ(outcome.exit_code, 2);
    return outcome.err;
  };
  const size_t before = std::distance(fs::directory_iterator(folder_), {});
  EXPECT_THAT(message({"--preset", "qwen2_5_tiny", "--out", path("tokenizer")}),
              HasSubstr("--out: " + path("tokenizer") + " exists already"));
  EXPECT_THAT(message({"--preset", "big", "--out", path("x")}), HasSubstr("big not in"));
  EXPECT_THAT(message({"--out", path("x")}), HasSubstr("--preset,--config"));
  EXPECT_THAT(message({"--config", path("none.json"), "--out", path("x")}), HasSubstr("none.json"));
  EXPECT_THAT(message({"--preset", "qwen2_5_tiny", "--dtype", "int8", "--out", path("x")}),
              HasSubstr("int8 not in"));
  EXPECT_EQ(static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {})), before);
  json config = read_json(folder_ / "qwen2_5_vl_tiny" / "config.json");
  config["image_token_id"] = 3;
  std::ofstream(path("bad.json")) << config;
  EXPECT_THAT(
      message({"--config", path("bad.json"), "--tokenizer", path("tokenizer"), "--out", path("x")}),
      HasSubstr("but the config's image_token_id is 3"));
  config["vocab_size"] = 4;
  std::ofstream(path("bad.json")) << config;
  EXPECT_THAT(
      message({"--config", path("bad.json"), "--tokenizer", path("tokenizer"), "--out", path("x")}),
      HasSubstr("but the config's vocab_size is 4"));
  EXPECT_FALSE(fs::exists(path("x")));
}

json conversation(const json& content) {
  return json::array({{{"role", "user"}, {"content", content}}});
}

TEST_F(InitAndScore, EveryFormOfAPromptGivesTheSame) {
  const std::string file = image("plain.png");
  const json with_part = conversation(
      {{{"type", "text"}, {"text", "what circle "}}, {{"type", "image"}, {"image", file}}});
  const json with_marker = conversation("what circle <image>");
  const auto first =
      score({{{"id", "a"}, {"messages", with_part}, {"response", "red square"}},
             {{"messages", with_marker}, {"image", file}, {"response", "red square"}}})
          .lines();
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0]["id"], "a");
  EXPECT_EQ(first[1]["id"], 2);
  EXPECT_EQ(first[0]["text"], "red square");
  EXPECT_EQ(first[0]["tokens"], json({"red", " square"}));
  EXPECT_EQ(first[0]["response_ids"].size(), 2u);
  EXPECT_EQ(first[0]["logprobs"].size(), 2u);

  const std::string raw =
      "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nwhat circle "
      "<|vision_start|><|image_pad|><|vision_end|><|im_end|>\n<|im_start|>assistant\n";
  const auto others = score({{{"prompt", raw}, {"images", {file}}, {"response", "red square"}},
                             {{"prompt_ids", first[0]["prompt_ids"]},
                              {"images", {file}},
                              {"response_ids", first[0]["response_ids"]}}},
                            {"--micro-tokens", "1"})
                          .lines();
  ASSERT_EQ(others.size(), 2u);
  for (const json& line : {first[1], others[0], others[1]}) {
    EXPECT_EQ(line["prompt_ids"], first[0]["prompt_ids"]);
    EXPECT_EQ(line["response_ids"], first[0]["response_ids"]);
    for (size_t t = 0; t < 2; ++t)
      EXPECT_NEAR(line["logprobs"][t].get<double>(), first[0]["logprobs"][t].get<double>(), 1e-5);
  }
}

TEST_F(InitAndScore, TheChatTemplateMayBeAFileOfItsOwn) {
  std::ofstream(path("mine.jinja"))
      << "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>"
         "{% endfor %}";
  const auto run = [&](const std::string& file) {
    return score({{{"messages", conversation("red")}, {"response", "circle"}}},
                 {"--chat-template", path(file)});
  };
  const auto lines = run("mine.jinja").lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["prompt_ids"].size(), 3u);
  std::ofstream(path("wrong.jinja")) << "{{ messages[0].content | shuffle }}";
  const Outcome refused = run("wrong.jinja");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("wrong.jinja: filter \"shuffle\" is not supported"));
}

/// Log-probabilities of every next token, from the model alone.
at::Tensor next_logprobs(const Model& model, const std::vector<int64_t>& ids) {
  const at::NoGradGuard no_grad;
  const BranchedBatch batch = pack(std::vector<BranchedSequence>{{{ids, {}}, {}}}, model);
  BranchedAttention attention(batch.layout, at::kCPU);
  const at::Tensor hidden = model.decode(model.embed(batch), batch.positions, attention);
  return at::linear(hidden, model.head_weight()).to(at::kDouble).log_softmax(-1);
}

TEST_F(InitAndScore, ScoresAreThoseOfTheModel) {
  const auto model = Model::load(folder_ / "qwen2_5_tiny", {});
  const std::vector<int64_t> prompt{1, 2, 3}, response{4, 5, 6, 7};
  std::vector<int64_t> all = prompt;
  all.insert(all.end(), response.begin(), response.end());
  const auto lines = score({{{"prompt_ids", prompt}, {"response_ids", response}},
                            {{"prompt_ids", prompt}, {"response_ids", json::array()}}},
                           {}, "qwen2_5_tiny")
                         .lines();
  ASSERT_EQ(lines.size(), 2u);
  const at::Tensor want = next_logprobs(*model, all);
  for (size_t t = 0; t < response.size(); ++t)
    EXPECT_NEAR(lines[0]["logprobs"][t].get<double>(),
                want[static_cast<int64_t>(prompt.size() + t) - 1][response[t]].item<double>(),
                1e-5);
  EXPECT_EQ(lines[1]["logprobs"], json::array());
}

TEST_F(InitAndScore, GreedyTakesTheLikeliestToken) {
  const auto model = Model::load(folder_ / "qwen2_5_tiny", {});
  std::vector<int64_t> ids{1, 2, 3};
  const auto lines =
      score({{{"prompt_ids", ids}}, {{"prompt", "what red"}}}, {"--greedy", "6"}, "qwen2_5_tiny")
          .lines();
  ASSERT_EQ(lines.size(), 2u);
  const json& got = lines[0];
  ASSERT_EQ(got["response_ids"].size(), 6u);
  for (size_t t = 0; t < 6; ++t) {
    const at::Tensor last = next_logprobs(*model, ids)[static_cast<int64_t>(ids.size()) - 1];
    EXPECT_EQ(got["response_ids"][t], last.argmax().item<int64_t>());
    EXPECT_NEAR(got["logprobs"][t].get<double>(), last.max().item<double>(), 1e-5);
    ids.push_back(last.argmax().item<int64_t>());
  }
}

TEST_F(InitAndScore, Faults) {
  const json ids = {{"prompt_ids", {1, 2}}, {"response_ids", {3}}};
  const auto with = [&](const json& patch) {
    json line = ids;
    line.merge_patch(patch);
    return line;
  };
  EXPECT_EQ(refused(json::array()), "1: expected an object, got array\n");
  EXPECT_EQ(refused(with({{"promt", 1}})),
            "1: unknown key 'promt'; known ones: id, messages, prompt, prompt_ids, image, images, "
            "response, "
            "response_ids\n");
  EXPECT_EQ(refused(with({{"prompt_ids", nullptr}})),
            "1: expected 'messages', 'prompt' or 'prompt_ids'\n");
  EXPECT_EQ(refused(with({{"prompt", "x"}})),
            "1: expected one of 'prompt' and 'prompt_ids', got both\n");
  EXPECT_EQ(refused(with({{"response_ids", nullptr}})),
            "1: expected 'response' or 'response_ids'\n");
  EXPECT_EQ(refused(with({{"response", "x"}})),
            "1: expected one of 'response' and 'response_ids', got both\n");
  EXPECT_EQ(refused(with({{"prompt_ids", json::array()}})),
            "1: prompt_ids: expected at least one token\n");
  EXPECT_EQ(refused(with({{"prompt_ids", "1 2"}})),
            "1: prompt_ids: expected a list of token ids\n");
  EXPECT_EQ(refused(with({{"response_ids", {1.5}}})),
            "1: response_ids: expected a list of token ids\n");
  EXPECT_EQ(refused(with({{"response_ids", {-1}}})),
            "1: response_ids: -1 is outside the model's vocabulary of 512\n");
  EXPECT_EQ(refused(with({{"prompt_ids", {512}}})),
            "1: prompt_ids: 512 is outside the model's vocabulary of 512\n");
  EXPECT_EQ(refused(with({{"image", 5}})), "1: image: expected a string, got number\n");
  EXPECT_EQ(refused(with({{"images", "a.png"}})), "1: images: expected a list of paths\n");
  EXPECT_THAT(refused(with({{"image", "no.png"}})), HasSubstr("no.png: no such file"));
  EXPECT_THAT(refused(with({{"image", "in.jsonl"}})), HasSubstr("in.jsonl"));
  EXPECT_THAT(refused(with({{"image", image("plain.png")}})), HasSubstr("1: the 1 images need "));
  EXPECT_EQ(refused(with({{"image", image("plain.png")}}), {}, "qwen2_5_tiny"),
            "1: the line has an image, but the model is text-only\n");
  EXPECT_EQ(refused(ids, {"--greedy", "3"}),
            "1: the line has a response, but --greedy asks to generate one\n");
  const int64_t pad = *Tokenizer::load(folder_ / "tokenizer")->token_id("<|image_pad|>");
  EXPECT_EQ(refused(with({{"response_ids", {pad}}})),
            "1: response_ids: an image token cannot be scored\n");

  EXPECT_EQ(refused({{"prompt", "red"}, {"response", "a<|im_end|>"}}),
            "1: response contains the reserved token '<|im_end|>'; expected plain text, or ids\n");
  EXPECT_EQ(
      refused({{"messages", conversation("a <|image_pad|>")}, {"response", "a"}}),
      "1: messages contains the reserved token '<|image_pad|>'; expected plain text, or ids\n");
  EXPECT_EQ(refused({{"messages", conversation("<image>")}, {"response", "a"}}),
            "1: messages ask for more images than the 0 of 'image' or 'images'\n");
  EXPECT_EQ(
      refused(
          {{"messages", conversation("red")}, {"image", image("plain.png")}, {"response", "a"}}),
      "1: messages use 0 of the 1 images\n");
  EXPECT_EQ(refused({{"prompt", "red"}, {"image", image("plain.png")}, {"response", "a"}}),
            "1: expected one image placeholder for each of 1 images, got 0\n");
}

TEST_F(InitAndScore, FaultsOfFilesAndOptions) {
  write_lines("{\"prompt\": \n");
  const std::vector<std::string> arguments{"score", "--model", path("qwen2_5_tiny"), "--input",
                                           path("in.jsonl")};
  Outcome outcome = caprl(arguments);
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("in.jsonl:1: "));
  EXPECT_EQ(caprl({"score", "--model", path("none"), "--input", path("in.jsonl")}).exit_code, 2);
  EXPECT_EQ(caprl({"score", "--model", path("qwen2_5_tiny"), "--input", path("none")}).exit_code,
            2);
  EXPECT_EQ(caprl({"score", "--model", path("qwen2_5_tiny")}).exit_code, 2);
  EXPECT_EQ(score({{{"prompt", "red"}}}, {"--greedy", "0"}).exit_code, 2);
  EXPECT_EQ(score({{{"prompt", "red"}, {"response", "a"}}}, {"--dtype", "int8"}).exit_code, 2);
}

}  // namespace
}  // namespace caprl
