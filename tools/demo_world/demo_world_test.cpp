// The demonstration's data: true to the scenes, readable by the data module, and with the
// incentives that it claims.
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <set>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/data/dataset.h"
#include "caprl/io/jsonl.h"
#include "caprl/text/word_tokenizer.h"
#include "contents.h"
#include "datasets.h"
#include "examples.h"
#include "facts.h"
#include "look_up.h"
#include "pictures.h"

namespace caprl::demo {
namespace {

using testing::HasSubstr;

class DemoWorld : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ =
        std::filesystem::temp_directory_path() / fmt::format("caprl_demo_world_{}", ::getpid());
    write_datasets(folder_ / "a", kSizes, 3);
    write_word_tokenizer(folder_ / "tokenizer", {all_words(), true, std::nullopt});
    tokenizer_ = Tokenizer::load(folder_ / "tokenizer");
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  static std::vector<nlohmann::json> lines(const std::string& file) {
    std::vector<nlohmann::json> values;
    JsonlReader reader(folder_ / "a" / file);
    while (auto line = reader.next()) values.push_back(std::move(line->value));
    return values;
  }

  static constexpr DatasetSizes kSizes{40, 20, 3, 60, 20};
  // NOLINTBEGIN(readability-identifier-naming): members, too
  inline static std::filesystem::path folder_;
  inline static std::shared_ptr<const Tokenizer> tokenizer_;
  // NOLINTEND(readability-identifier-naming)
};

TEST_F(DemoWorld, IsAFunctionOfTheSeed) {
  write_datasets(folder_ / "b", kSizes, 3);
  write_datasets(folder_ / "c", kSizes, 4);
  const auto a = contents(folder_ / "a");
  EXPECT_EQ(a.size(), 60u + 10u);
  EXPECT_EQ(a, contents(folder_ / "b"));
  for (const auto& [file, hash] : contents(folder_ / "c")) EXPECT_NE(hash, a.at(file)) << file;
}

TEST_F(DemoWorld, FewerItemsAreTheFirstOfMore) {
  write_datasets(folder_ / "few", {10, 5, 3, 5, 2}, 3);
  const auto all = contents(folder_ / "a");
  int images = 0;
  for (const auto& [file, hash] : contents(folder_ / "few")) {
    if (!file.starts_with("images/")) continue;
    EXPECT_EQ(hash, all.at(file)) << file;
    ++images;
  }
  EXPECT_EQ(images, 15);
}

TEST_F(DemoWorld, DataModuleReadsEveryFile) {
  const auto path = [&](const char* file) { return (folder_ / "a" / file).string(); };
  const auto train = load_caption_rows({path("train.jsonl")}, BadRows::kStop, *tokenizer_);
  const auto heldout = load_caption_rows({path("heldout.jsonl")}, BadRows::kStop, *tokenizer_);
  ASSERT_EQ(train.rows.size(), 40u);
  ASSERT_EQ(heldout.rows.size(), 20u);
  for (const CaptionRow& row : train.rows) {
    EXPECT_EQ(row.questions.size(), 6u);
    const RgbImage image = load_image(row.image);
    EXPECT_EQ(image.width, kSide);
    EXPECT_EQ(image.height, kSide);
  }
  const auto sft = load_sft_rows({path("captioner_sft.jsonl")}, BadRows::kStop, *tokenizer_);
  ASSERT_EQ(sft.rows.size(), 120u);
  // The prompt as supervised training and as GRPO see it.
  const auto& taught = sft.rows[0].messages[0].content;
  const auto& asked = train.rows[0].prompt[0].content;
  ASSERT_EQ(taught.size(), asked.size());
  for (size_t i = 0; i < taught.size(); ++i) {
    EXPECT_EQ(taught[i].kind, asked[i].kind);
    if (taught[i].kind == ChatPart::Kind::kText) {
      EXPECT_EQ(taught[i].text, asked[i].text);
    }
  }
  EXPECT_EQ(load_sft_rows({path("answerer_sft.jsonl"), path("answerer_test.jsonl")}, BadRows::kStop,
                          *tokenizer_)
                .rows.size(),
            640u);
}

TEST_F(DemoWorld, ScoresAreSharesOfTruth) {
  const std::string opening(kJudgePrompt.substr(0, kJudgePrompt.find('{')));
  std::map<std::string, std::string> truth;
  for (const auto& row : lines("truth.jsonl")) truth[row["id"]] = row["caption"];
  std::map<std::string, int64_t> scores;
  for (const auto& row : lines("judge_sft.jsonl")) {
    const auto text = row["messages"][0]["content"][1]["text"].get<std::string>();
    ASSERT_TRUE(text.starts_with(opening) && text.ends_with(" ?")) << text;
    const std::string caption = text.substr(opening.size(), text.size() - opening.size() - 2);
    const std::string full = truth.at(row["id"].get<std::string>().substr(0, 12));
    const Caption real_caption = parse_caption(full);
    // Every sentence on a place is right if all its words are in the true one.
    int64_t stated = 0, right = 0;
    for (const PlaceStatement& statement : parse_caption(caption).places) {
      const PlaceStatement& real = *real_caption.find(statement.place);
      if (statement.is_empty) {
        ++stated;
        right += real.is_empty;
      }
      for (const auto& [said, is] :
           {std::pair(statement.color, real.color), std::pair(statement.shape, real.shape)}) {
        stated += said.has_value();
        right += said && said == is;
      }
    }
    const auto score = row["response"].get<std::string>();
    if (score == "5" && stated > 7) EXPECT_GE(right, stated - 1) << caption << " | " << full;
    if (score == "1") EXPECT_LE(right, 1) << caption << " | " << full;
    ++scores[score];
  }
  for (const char* score : {"1", "2", "3", "4", "5"}) EXPECT_GT(scores[score], 4) << score;
  EXPECT_EQ(scores.size(), 5u);
  EXPECT_THAT(read_file(CAPRL_SOURCE_DIR "/tools/demo"),
              testing::HasSubstr("reward.judge.prompt='" + std::string(kJudgePrompt) + "'"));
}

TEST_F(DemoWorld, EveryWordIsOneToken) {
  const auto words = all_words();
  EXPECT_LE(words.size(), 100u);
  EXPECT_EQ(std::set<std::string>(words.begin(), words.end()).size(), words.size());
  for (const std::string& word : words) {
    EXPECT_EQ(tokenizer_->encode(word, false).size(), 1u) << word;
    EXPECT_EQ(tokenizer_->encode(" " + word, false).size(), 1u) << word;
  }
  for (const auto& row : lines("captioner_sft.jsonl")) {
    const auto caption = row["response"].get<std::string>();
    EXPECT_EQ(tokenizer_->encode(caption, false).size(), split(caption).size()) << caption;
    EXPECT_LE(split(caption).size(), 19u);
  }
  // Answerers' prompts: words, two tokens a label, one a line break.
  for (const auto& row : lines("answerer_sft.jsonl")) {
    const auto prompt = row["messages"][0]["content"][0]["text"].get<std::string>();
    size_t expected = std::count(prompt.begin(), prompt.end(), '\n');
    for (const std::string& word : split(prompt)) expected += word.ends_with(')') ? 2 : 1;
    EXPECT_EQ(tokenizer_->encode(prompt, false).size(), expected) << prompt;
    // The word, a space, the letter.
    EXPECT_EQ(tokenizer_->encode(row["response"].get<std::string>(), false).size(), 3u);
  }
}

TEST_F(DemoWorld, QuestionsAreTrueOfTheScenes) {
  std::map<std::string, std::string> truth;
  for (const auto& row : lines("truth.jsonl")) truth[row["id"]] = row["caption"];
  int64_t nothings = 0;
  for (const auto& row : lines("train.jsonl")) {
    const std::string& caption = truth.at(row["id"]);
    bool asks_empty = false;
    std::set<std::string> texts;
    for (const auto& item : row["reward_model"]["ground_truth"]) {
      const Question question = parse_question(item, "test");
      const std::string right = question.choices[question.answer];
      EXPECT_EQ(right, look_up(caption, question.text)) << caption << " " << question.text;
      asks_empty |= right == "nothing";
      EXPECT_GE(question.choices.size(), 3u);
      EXPECT_LE(question.choices.size(), 5u);
      texts.insert(question.text);
    }
    EXPECT_EQ(texts.size(), 6u) << "the same question twice";
    EXPECT_EQ(asks_empty, caption.find("nothing") != std::string::npos) << caption;
    nothings += asks_empty;
  }
  EXPECT_GT(nothings, 15);
}

TEST_F(DemoWorld, PicturesShowTheScenes) {
  const std::map<std::string, std::array<int, 3>> rgb = {
      {"red", {230, 40, 40}},     {"green", {40, 200, 60}},   {"blue", {50, 80, 240}},
      {"yellow", {240, 220, 40}}, {"white", {240, 240, 240}}, {"cyan", {40, 220, 220}}};
  for (const auto& row : lines("truth.jsonl")) {
    const RgbImage image = load_image(folder_ / "a" / row["image"].get<std::string>());
    for (size_t place = 0; place < kPlaces.size(); ++place) {
      const std::string color =
          look_up(row["caption"], fmt::format("what color is {} ?", kPlaces[place]));
      // Mean over 3 x 3 pixels at the quadrant's centre, which every shape covers at every jitter.
      const int64_t x = 14 + 28 * (place % 2), y = 14 + 28 * (place / 2);
      std::array<double, 3> mean = {};
      for (int64_t dy = -1; dy <= 1; ++dy)
        for (int64_t dx = -1; dx <= 1; ++dx)
          for (int64_t c = 0; c < 3; ++c)
            mean[c] += image.pixels[3 * ((y + dy) * kSide + x + dx) + c] / 9.0;
      std::array<double, 3> expected = {24 + 120.0 * y / 55, 24, 24 + 120.0 * x / 55};
      if (color != "nothing") std::copy_n(rgb.at(color).begin(), 3, expected.begin());
      for (int64_t c = 0; c < 3; ++c)
        EXPECT_NEAR(mean[c], expected[c], 12) << row.dump() << " " << kPlaces[place];
    }
  }
}

TEST_F(DemoWorld, AnswererRowsFollowTheirCaptions) {
  for (const char* file : {"answerer_sft.jsonl", "answerer_test.jsonl"}) {
    std::string shared;
    int64_t place = 0;
    for (const auto& row : lines(file)) {
      const auto prompt = row["messages"][0]["content"][0]["text"].get<std::string>();
      const std::string caption = prompt.substr(0, prompt.find('\n'));
      if (place++ % kExamplesPerCaption == 0) shared = caption;
      EXPECT_EQ(caption, shared);
      const size_t begin = prompt.find("\nquestion : ") + 12;
      const size_t end = prompt.find(" ?", begin);
      const std::string said = look_up(caption, prompt.substr(begin, end - begin));
      EXPECT_TRUE(prompt.ends_with("\nF) unknown"));
      const size_t at = (prompt + "\n").find(") " + said + "\n");
      const bool is_offered = said != "unknown" && at != std::string::npos;
      const std::string letter = is_offered ? prompt.substr(at - 1, 1) : "F";
      EXPECT_EQ(row["response"], said + " " + letter) << prompt;
    }
  }
}

TEST_F(DemoWorld, FactsOfFiles) {
  const auto truth = folder_ / "a" / "truth.jsonl";
  const FactCount all = count_facts(truth, truth);
  EXPECT_EQ(all.num_captions, 60);
  EXPECT_EQ(all.num_true, all.num_facts);
  EXPECT_DOUBLE_EQ(all.share(), 1.0);

  const auto bad = folder_ / "bad.jsonl";
  std::ofstream(bad) << "{\"id\": \"train-000000\", \"caption\": \"one objects .\"}\n{\"id\": "
                        "\"x\", \"caption\": \"\"}\n";
  try {
    count_facts(bad, truth);
    FAIL() << "expected an InputError";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr(bad.string() + ":2: id 'x' is not in "));
  }
}

TEST_F(DemoWorld, UnwritableFolderIsAnError) {
  std::ofstream(folder_ / "file") << "x";
  EXPECT_ANY_THROW(write_datasets(folder_ / "file" / "below", kSizes, 1));
}

}  // namespace
}  // namespace caprl::demo
