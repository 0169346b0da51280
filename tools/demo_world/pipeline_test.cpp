// What tools/demo --full adds to the world: rows that say what they should.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <set>

#include "caprl/core/files.h"
#include "caprl/data/dataset.h"
#include "caprl/io/jsonl.h"
#include "caprl/text/word_tokenizer.h"
#include "contents.h"
#include "datasets.h"
#include "facts.h"
#include "look_up.h"
#include "pipeline_data.h"
#include "support/errors.h"
#include "written.h"

namespace caprl::demo {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Pipeline : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = fs::temp_directory_path() / fmt::format("caprl_demo_pipeline_{}", ::getpid());
    write_datasets(folder_ / "a", {40, 2, 1, 1, 1}, 3);
    before_ = contents(folder_ / "a");
    write_pipeline_data(folder_ / "a", kSizes, 3);
    write_word_tokenizer(folder_ / "tokenizer", {all_words(), true, std::nullopt});
    tokenizer_ = Tokenizer::load(folder_ / "tokenizer");
    for (const json& row : lines("truth.jsonl")) truth_[row["id"]] = row["caption"];
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  static std::vector<json> lines(const std::string& file) {
    std::vector<json> values;
    JsonlReader reader(folder_ / "a" / file);
    while (auto line = reader.next()) values.push_back(std::move(line->value));
    return values;
  }

  static constexpr PipelineSizes kSizes{40, 8, 80, 60, 10};
  // NOLINTBEGIN(readability-identifier-naming): members, too
  inline static fs::path folder_;
  inline static std::map<std::string, std::string> before_, truth_;
  inline static std::shared_ptr<const Tokenizer> tokenizer_;
  // NOLINTEND(readability-identifier-naming)
};

/// The question within a prompt, its first line, in front of it the sentence that tells, if any.
struct Asked {
  std::string telling, question;
  std::map<std::string, std::string> options;  // by letter

  explicit Asked(const std::string& prompt) {
    const std::string mark = "question : ";
    std::istringstream text(prompt.substr(prompt.find(mark) + mark.size()));
    std::getline(text, question);
    if (const size_t stop = question.find(" . "); stop != std::string::npos) {
      telling = question.substr(0, stop + 2);
      question = question.substr(stop + 3);
    }
    for (std::string line; std::getline(text, line);) options[line.substr(0, 1)] = line.substr(3);
  }
};

TEST_F(Pipeline, AddsToTheWorldAndIsAFunctionOfTheSeed) {
  const auto after = contents(folder_ / "a");
  for (const auto& [file, hash] : before_) EXPECT_EQ(after.at(file), hash) << file;
  EXPECT_EQ(after.size(), before_.size() + 60 + 10 + 6);
  write_datasets(folder_ / "b", {40, 2, 1, 1, 1}, 3);
  write_pipeline_data(folder_ / "b", kSizes, 3);
  EXPECT_EQ(contents(folder_ / "b"), after);
  EXPECT_THAT(input_error([] {
                write_pipeline_data(folder_ / "b", {41, 1, 1, 1, 1}, 3);
              }),
              HasSubstr("000040.png is missing; expected a folder"));
}

TEST_F(Pipeline, EveryFileIsReadByTheDataModule) {
  const auto path = [](const char* file) { return (folder_ / "a" / file).string(); };
  EXPECT_EQ(
      load_sft_rows({path("curator_sft.jsonl"), path("rater_sft.jsonl"), path("told_sft.jsonl")},
                    BadRows::kStop, *tokenizer_)
          .rows.size(),
      40u * 8 + 40 * 8 + 80 * 8);
  EXPECT_EQ(load_image_rows({path("annotate.jsonl")}, BadRows::kStop, *tokenizer_, {}).rows.size(),
            10u);
}

TEST_F(Pipeline, TheCuratorSaysWhatIsShownOrTold) {
  int64_t shown_rows = 0, told_rows = 0, unknown = 0;
  for (const json& row : lines("curator_sft.jsonl")) {
    const json& content = row["messages"][0]["content"];
    const bool shown = content.size() == 2;
    const Asked asked(content.back()["text"]);
    const std::string truth =
        look_up(truth_.at(row["id"].get<std::string>().substr(0, 12)), asked.question);
    EXPECT_EQ(row["response"], shown || !asked.telling.empty() ? truth : "unknown") << row;
    if (!asked.telling.empty()) EXPECT_EQ(look_up(asked.telling, asked.question), truth) << row;
    // The right answer is offered, the option to abstain where the image is shown.
    std::set<std::string> options;
    for (const auto& [letter, option] : asked.options) options.insert(option);
    EXPECT_TRUE(options.contains(truth)) << row;
    EXPECT_EQ(options.contains("unknown"), shown) << row;
    shown_rows += shown;
    told_rows += !asked.telling.empty();
    unknown += row["response"] == "unknown";
  }
  EXPECT_NEAR(shown_rows / 320.0, 0.7, 0.08);
  EXPECT_NEAR(told_rows / 320.0, 0.7 * 0.25 + 0.3 * 0.5, 0.08);
  EXPECT_GT(unknown, 20);
}

TEST_F(Pipeline, TheAnswererBelievesTheCaptionBeforeTheQuestion) {
  int64_t told_rows = 0, told_counts = 0, contradicted = 0;
  for (const json& row : lines("told_sft.jsonl")) {
    const auto prompt = row["messages"][0]["content"][0]["text"].get<std::string>();
    const Asked asked(prompt);
    const std::string caption = prompt.substr(0, prompt.find('\n'));
    const std::string told = asked.telling.empty() ? "" : look_up(asked.telling, asked.question);
    std::string said = look_up(caption, asked.question);
    contradicted += !told.empty() && said != "unknown" && said != told;
    told_rows += !told.empty();
    if (said == "unknown" && !told.empty()) {
      said = told;
      ++told_counts;
    }
    std::string letter = "F";
    for (const auto& [label, option] : asked.options)
      if (option == said) letter = label;
    EXPECT_EQ(row["response"], said + " " + letter) << prompt;
  }
  EXPECT_NEAR(told_rows / 640.0, 0.5, 0.07);
  EXPECT_GT(told_counts, 50);
  EXPECT_GT(contradicted, 50);
}

bool is_place(const std::string& word) { return word.ends_with("left") || word.ends_with("right"); }

/// The rating of a caption in which every sentence is well-formed, word by word: what is said of a
/// place, or of the number, is right if the full caption says it there.
int64_t word_by_word_rating(const std::string& caption, const std::string& full) {
  std::map<std::string, std::set<std::string>> sentences;
  double all = 0, right = 0, wrong = 0;
  std::string place;
  for (const std::string& word : split(full)) {
    if (is_place(word)) {
      place = word;
    } else if (word != "." && word != "objects") {
      sentences[place].insert(word);
      ++all;
    }
  }
  place.clear();
  for (const std::string& word : split(caption)) {
    if (is_place(word)) {
      place = word;
    } else if (word != "." && word != "objects" && word != "some") {
      (sentences[place].contains(word) ? right : wrong) += 1;
    }
  }
  return 1 + std::lround(4 * right / (all + wrong));
}

TEST_F(Pipeline, RatingsAreSharesOfWhatThereIsToSay) {
  std::map<std::string, int64_t> ratings;
  int64_t num_slips = 0;
  for (const json& row : lines("rater_sft.jsonl")) {
    const auto text = row["messages"][0]["content"][1]["text"].get<std::string>();
    const std::string opening(kJudgePrompt.substr(0, kJudgePrompt.find('{')));
    ASSERT_TRUE(text.starts_with(opening) && text.ends_with(" ?")) << text;
    const std::string caption = text.substr(opening.size(), text.size() - opening.size() - 2);
    const std::string full = truth_.at(row["id"].get<std::string>().substr(0, 12));
    ++ratings[row["response"]];
    if (parse_caption(caption).num_malformed > 0) {
      EXPECT_NE(row["response"], "5") << caption;
      ++num_slips;
    } else if (caption.find(" thing ") == std::string::npos) {
      EXPECT_EQ(row["response"], std::to_string(word_by_word_rating(caption, full)))
          << caption << " | " << full;
    }
  }
  EXPECT_EQ(ratings.size(), 5u);
  EXPECT_GT(ratings["5"], 10);
  EXPECT_GT(num_slips, 60);
}

TEST_F(Pipeline, PromptsAreThoseOfTheModelsTaught) {
  const std::string script = read_file(CAPRL_SOURCE_DIR "/tools/demo_world/full.sh");
  EXPECT_THAT(script, HasSubstr("reward.judge.prompt='" + std::string(kJudgePrompt) + "'"));
  const std::string caption_prompt(kCaptionPrompt.substr(std::string("<image>").size()));
  EXPECT_THAT(script, HasSubstr("--captions --prompt '" + caption_prompt + "'"));
  EXPECT_THAT(read_file(CAPRL_SOURCE_DIR "/configs/qa_demo.yaml"),
              HasSubstr("prompt: \"" + std::string(kCuratorPrompt) + "\""));
}

TEST_F(Pipeline, WrittenQuestionsHaveTheFlawsThatAreSaid) {
  std::map<std::string, int64_t> flaws;
  for (int64_t i = 0; i < 400; ++i) {
    Draws draws(7, Split::kWrittenQuestions, i);
    const Scene scene = draw_scene(draws);
    const std::string truth = full_caption(scene).text();
    std::set<std::string> topics;
    for (const WrittenQuestion& one : draw_written_questions(scene, draws)) {
      const Asked asked("question : " + one.question.text);
      topics.insert(asked.question);
      const std::string right = look_up(truth, asked.question);
      EXPECT_EQ(one.question.choices[one.question.answer] == right, one.flaw != Flaw::kWrongKey);
      EXPECT_EQ(asked.telling.empty(), one.flaw != Flaw::kTold);
      if (one.flaw == Flaw::kTold) EXPECT_EQ(look_up(asked.telling, asked.question), right);
      ++flaws[std::string(flaw_name(one.flaw))];
    }
    EXPECT_EQ(topics.size(), 8u);
  }
  for (const auto& [flaw, share] : std::map<std::string, double>{
           {"none", 0.3}, {"told", 0.5}, {"wrong_key", 0.15}, {"no_answer", 0.05}})
    EXPECT_NEAR(static_cast<double>(flaws[flaw]) / 3200, share, 0.03) << flaw;
}

}  // namespace
}  // namespace caprl::demo
