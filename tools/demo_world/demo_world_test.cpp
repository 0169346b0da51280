// The demonstration's data: true to the scenes, readable by the data module, and with the
// incentives that it claims.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/data/dataset.h"
#include "caprl/io/jsonl.h"
#include "caprl/text/word_tokenizer.h"
#include "datasets.h"
#include "examples.h"
#include "facts.h"
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
  inline static std::filesystem::path folder_;
  inline static std::shared_ptr<const Tokenizer> tokenizer_;
};

std::vector<std::string> split(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// Hashes of all files by relative path.
std::map<std::string, std::string> contents(const std::filesystem::path& dir) {
  std::map<std::string, std::string> hashes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir))
    if (entry.is_regular_file())
      hashes[std::filesystem::relative(entry.path(), dir).string()] = hash_file(entry.path());
  return hashes;
}

TEST_F(DemoWorld, IsAFunctionOfTheSeed) {
  write_datasets(folder_ / "b", kSizes, 3);
  write_datasets(folder_ / "c", kSizes, 4);
  const auto a = contents(folder_ / "a");
  EXPECT_EQ(a.size(), 60u + 6u);
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
    EXPECT_EQ(tokenizer_->encode(row["response"].get<std::string>(), false).size(), 1u);
  }
}

/// Answers by a caption, from the rows' texts alone and not by the code under test.
std::string look_up(const std::string& caption, const std::string& question) {
  static const std::map<std::string, std::set<std::string>> kWords = {
      {"color", {"red", "green", "blue", "yellow", "white", "cyan", "nothing"}},
      {"shape", {"circle", "square", "triangle", "cross", "nothing"}},
      {"objects", {"one", "two", "three", "four", "five"}}};
  const auto asked = split(question);  // how many objects ? | what color is topleft ?
  const auto words = split(caption);
  const bool is_count = asked[0] == "how";
  const auto& values = kWords.at(is_count ? "objects" : asked[1]);
  const std::string subject = is_count ? "objects" : asked[3];
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] != subject) continue;
    if (is_count) return i > 0 && values.contains(words[i - 1]) ? words[i - 1] : "unknown";
    for (++i; i < words.size() && words[i] != "."; ++i)
      if (values.contains(words[i])) return words[i];
    return "unknown";
  }
  return "unknown";
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
    int64_t place = 0, open = 0;
    for (const auto& row : lines(file)) {
      const auto prompt = row["messages"][0]["content"][0]["text"].get<std::string>();
      const std::string caption = prompt.substr(0, prompt.find('\n'));
      if (place++ % kExamplesPerCaption == 0) shared = caption;
      EXPECT_EQ(caption, shared);
      const size_t begin = prompt.find("\nquestion : ") + 12;
      const size_t end = prompt.find(" ?", begin);
      const std::string said = look_up(caption, prompt.substr(begin, end - begin));
      std::string expected = said;
      const size_t options = prompt.find("\nA) ");
      if (options != std::string::npos) {
        EXPECT_TRUE(prompt.ends_with("\nF) unknown"));
        const size_t at = (prompt + "\n").find(") " + said + "\n");
        const bool is_offered = said != "unknown" && at != std::string::npos;
        expected = is_offered ? prompt.substr(at - 1, 1) : "F";
      }
      open += options == std::string::npos;
      EXPECT_EQ(row["response"], expected) << prompt;
      EXPECT_EQ(row["answerable"], expected != "F" && expected != "unknown") << prompt;
    }
    EXPECT_EQ(open > 0, std::string(file) == "answerer_sft.jsonl");
  }
}

TEST(AnswererExamples, SharesAreAsStated) {
  int64_t open = 0, answerable = 0, offered = 0, total = 0;
  std::map<std::string, int64_t> letters;
  for (int64_t i = 0; i < 2000; ++i) {
    Draws draws(5, Split::kAnswererTraining, i);
    for (const AnswererExample& example : draw_answerer_examples(8, 0.25, draws)) {
      ++total;
      open += example.is_open;
      answerable += example.is_answerable;
      if (example.is_open) continue;
      ++offered;
      ++letters[example.response];
    }
  }
  EXPECT_NEAR(static_cast<double>(open) / total, 0.25, 0.02);
  EXPECT_NEAR(static_cast<double>(answerable) / total, 0.70, 0.03);
  EXPECT_EQ(letters.size(), 6u);
  for (const char* letter : {"A", "B", "C"})
    EXPECT_NEAR(static_cast<double>(letters[letter]) / offered,
                0.7 * (1 / 3. + 1 / 4. + 1 / 5.) / 3, 0.02);
}

/// Share of an image's questions that a caption answers right.
double reward(const Caption& caption, const std::vector<Question>& questions) {
  double right = 0;
  for (const Question& question : questions)
    right += look_up(caption.text(), question.text) == question.choices[question.answer];
  return right / static_cast<double>(questions.size());
}

TEST(Incentives, TruthPaysAndInventionCosts) {
  double vague = 0, full = 0, silent = 0, invented = 0;
  FactCount vague_facts;
  constexpr int64_t kImages = 3000;
  for (int64_t i = 0; i < kImages; ++i) {
    Draws draws(9, Split::kTrainScenes, i);
    const Scene scene = draw_scene(draws);
    const auto questions = draw_questions(scene, draws);
    const Caption guess = vague_caption(scene, Vagueness{}, draws);
    Caption without = full_caption(scene), filled = full_caption(scene);
    std::erase_if(without.places, [](const PlaceStatement& s) { return s.is_empty; });
    for (PlaceStatement& statement : filled.places)
      if (statement.is_empty) statement = {statement.place, false, 0, 0};
    vague += reward(guess, questions) / kImages;
    full += reward(full_caption(scene), questions) / kImages;
    silent += reward(without, questions) / kImages;
    invented += reward(filled, questions) / kImages;
    vague_facts.add(count_facts(guess, scene));
  }
  EXPECT_NEAR(full, 1.0, 1e-9);
  EXPECT_GT(vague, 0.30);
  EXPECT_LT(vague, 0.50);
  EXPECT_LT(silent, 0.92);             // leaving empty places out is not enough
  EXPECT_DOUBLE_EQ(invented, silent);  // inventing gains nothing over silence
  EXPECT_NEAR(vague_facts.share(), 0.9, 0.01);
  std::printf("mean reward: vague %.3f, full %.3f, without empty places %.3f\n", vague, full,
              silent);
}

TEST(Captions, TextsParseBackToThemselves) {
  for (int64_t i = 0; i < 500; ++i) {
    Draws draws(1, Split::kVagueCaptions, i);
    const Scene scene = draw_scene(draws);
    for (const Caption& caption : {full_caption(scene), vague_caption(scene, Vagueness{}, draws)}) {
      const Caption parsed = parse_caption(caption.text());
      EXPECT_EQ(parsed.text(), caption.text());
      EXPECT_EQ(parsed.num_malformed, 0);
    }
  }
}

TEST(Facts, HandCheckedTable) {
  Scene scene;  // a red circle, nothing, nothing, a blue square
  scene.places[0] = Object{0, 0};
  scene.places[3] = Object{2, 1};
  struct Row {
    const char* caption;
    int64_t facts, right, malformed;
  };
  for (const Row& row : {
           Row{"two objects . topleft red circle . topright nothing . bottomleft nothing . "
               "bottomright blue square .",
               7, 7, 0},
           Row{"some objects . topleft thing .", 1, 1, 0},
           Row{"some objects . topright thing .", 1, 0, 0},
           Row{"three objects . topleft nothing .", 2, 0, 0},
           Row{"topleft red square . topleft circle .", 3, 2, 0},
           Row{"topright green cross .", 2, 0, 0},
           Row{"topleft red", 1, 1, 0},
           Row{"topleft circle red . topleft red red .", 2, 0, 2},
           Row{"two objects . two objects . hello . topleft .", 4, 1, 3},
           Row{"", 0, 0, 0},
           Row{". . .", 0, 0, 0},
       }) {
    const FactCount count = count_facts(parse_caption(row.caption), scene);
    EXPECT_EQ(count.num_facts, row.facts) << row.caption;
    EXPECT_EQ(count.num_true, row.right) << row.caption;
    EXPECT_EQ(count.num_malformed, row.malformed) << row.caption;
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
