// `caprl eval` on the demonstration's world: the same result on one process, on two, and after
// kills.
#include "caprl/tasks/eval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "caprl/core/config.h"
#include "caprl/io/json.h"
#include "kills.h"
#include "support/errors.h"
#include "support/ranks.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

const std::string kModels = CAPRL_SOURCE_DIR "/tools/demo_world/models/";

class Eval : public TinyRun {
 protected:
  static void SetUpTestSuite() {
    TinyRun::SetUpTestSuite();
    demo::write_datasets(folder_ / "eval", {1, 12, 1, 1, 1, 1}, 4);
  }

  /// The demonstration's, on its base captioner and fewer items.
  static PrismConfig config(const std::string& name) {
    PrismConfig config;
    load_config(std::filesystem::path(CAPRL_SOURCE_DIR "/configs/demo_eval.yaml"), {}, config);
    config.run.dir = path(name);
    config.run.threads = 1;
    config.captioner.model = kModels + "captioner";
    config.answerer.model = kModels + "answerer";
    config.data.files = {path("eval/heldout_items.jsonl")};
    config.data.batch_items = 7;
    return config;
  }
  static constexpr int64_t kItems = 12 * 6;

  /// A config file for the program.
  static std::string file_of(const PrismConfig& config, const std::string& name) {
    write_file_atomic(folder_ / (name + ".yaml"), config_to_yaml(config));
    return path(name + ".yaml");
  }

  /// Lines by index, once each, of all ranks.
  static std::map<int64_t, json> records(const std::string& run) {
    std::map<int64_t, json> result;
    for (const auto& entry : fs::directory_iterator(folder_ / run)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with("items") || fs::file_size(entry.path()) == 0) continue;
      for (const json& line : lines(entry.path())) {
        const auto [place, is_new] = result.emplace(line.at("index").get<int64_t>(), line);
        EXPECT_TRUE(is_new) << "evaluated twice: " << line;
      }
    }
    return result;
  }

  /// What one process without interruption gives.
  static const std::map<int64_t, json>& whole() {
    static const std::map<int64_t, json> kWhole = [] {
      table_ = result_table(evaluate(config("whole")));
      return records("whole");
    }();
    return kWhole;
  }

  inline static std::string table_;
};

TEST_F(Eval, EveryItemIsCaptionedAskedAndScored) {
  ASSERT_EQ(whole().size(), static_cast<size_t>(kItems));
  std::set<std::string> captions;
  std::map<std::string, std::vector<double>> means, bests;
  for (const auto& [index, line] : whole()) {
    ASSERT_EQ(line.at("samples").size(), 4u);
    double sum = 0, best = 0;
    for (const json& sample : line.at("samples")) {
      captions.insert(sample.at("caption").at("text").get<std::string>());
      EXPECT_LE(sample.at("caption").at("num_tokens").get<int>(), 32);
      const double score = sample.at("score").get<double>();
      EXPECT_EQ(score, sample.at("answer") == line.at("expected").at(0) ? 1 : 0) << line;
      sum += score;
      best = std::max(best, score);
    }
    means[line.at("benchmark").get<std::string>()].push_back(sum / 4);
    bests[line.at("benchmark").get<std::string>()].push_back(best);
  }
  EXPECT_GT(captions.size(), 40u) << "samples are drawn";
  const json result = read_json(folder_ / "whole/result.json");
  ASSERT_EQ(result.at("benchmarks").size(), 3u);
  for (const json& row : result.at("benchmarks")) {
    const auto mean_of = [](const std::vector<double>& v) {
      return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
    };
    const std::string name = row.at("benchmark").get<std::string>();
    const json &mean = row.at("mean"), &best = row.at("best");
    EXPECT_NEAR(mean.at("value").get<double>(), mean_of(means.at(name)), 1e-12);
    EXPECT_NEAR(best.at("value").get<double>(), mean_of(bests.at(name)), 1e-12);
    EXPECT_LE(mean.at("value"), best.at("value"));
    EXPECT_LT(mean.at("low"), mean.at("value"));
    EXPECT_GT(mean.at("high"), mean.at("value"));
    EXPECT_EQ(best.at("interval"), "wilson");
  }
  EXPECT_THAT(table_, HasSubstr("best of 4"));
  EXPECT_THAT(table_, HasSubstr("\naverage "));
}

TEST_F(Eval, TwoProcessesGiveTheSame) {
  whole();
  const std::string file = file_of(config("two"), "two");
  Ranks ranks(folder_ / "two_logs", 2, {CAPRL_BIN_DIR "/caprl", "eval", "--config", file});
  const auto results = ranks.wait();
  for (const auto& result : results) EXPECT_EQ(result.code, 0) << result.log;
  EXPECT_EQ(records("two"), whole());
  EXPECT_GT(fs::file_size(folder_ / "two/items-00001-of-00002.jsonl"), 0u);
  EXPECT_THAT(results[0].log, HasSubstr(table_));
  EXPECT_EQ(results[1].log.find("average"), std::string::npos);
  EXPECT_EQ(read_file(folder_ / "two/result.json"), read_file(folder_ / "whole/result.json"));
}

/// Killed at random moments; half of a line, which no kill leaves, is cut off as well, in a folder
/// that has been moved.
TEST_F(Eval, KilledRunsContinue) {
  whole();
  PrismConfig c = config("undisturbed");
  c.data.batch_items = 2;
  const auto command = [&](const std::string& run) {
    c.run.dir = path(run);
    return std::vector<std::string>{CAPRL_BIN_DIR "/caprl", "eval", "--config", file_of(c, run)};
  };
  const auto undisturbed = command("undisturbed");
  const auto duration =
      duration_of([&] { ASSERT_EQ(run_for(undisturbed, std::chrono::minutes(5)), 0); });
  const KilledRun run{command("killed"), folder_ / "killed", "result.json", duration};
  run_under_kills(run, num_kills(6), [&] {
    EXPECT_EQ(records("killed"), whole());
    EXPECT_EQ(read_file(folder_ / "killed/result.json"), read_file(folder_ / "whole/result.json"));
  });
  fs::rename(folder_ / "undisturbed", folder_ / "torn");
  const auto torn = folder_ / "torn/items.jsonl";
  fs::resize_file(torn, fs::file_size(torn) - 10);
  ASSERT_EQ(run_for(command("torn"), std::chrono::minutes(5)), 0);
  EXPECT_EQ(records("torn"), whole());
}

TEST_F(Eval, AFinishedOrHalfFinishedRunIsNotDoneAgain) {
  whole();
  PrismConfig c = config("whole");
  c.data.batch_items = 100;  // changes nothing
  EXPECT_EQ(result_table(evaluate(c)), table_);
  EXPECT_EQ(records("whole"), whole());
  c.run.seed = 2;
  EXPECT_THAT(input_error([&] { evaluate(c); }),
              HasSubstr("was begun with another model, data or sampling"));
  // Lines of other items: the data has changed beneath the run.
  c = config("other");
  fs::create_directories(folder_ / "other");
  write_file_atomic(folder_ / "other/items.jsonl", R"({"index": 0, "id": "ghost", "samples": []})"
                                                   "\n");
  EXPECT_THAT(input_error([&] { evaluate(c); }),
              HasSubstr("items.jsonl:1: item 0 with id 'ghost' is not in the data"));
}

TEST_F(Eval, BadItemsStopOrAreSkippedAndCounted) {
  const std::vector<json> good = lines(folder_ / "eval/heldout_items.jsonl");
  write_file_atomic(folder_ / "eval/text.png", "no image");
  json no_image = good[1], broken = good[2], no_answer = good[3], null_image = good[4];
  no_image["image"] = "none.png";
  broken["image"] = "text.png";
  no_answer["answer"] = json::array();
  null_image["image"] = nullptr;
  const std::string rows = good[0].dump() + "\n{\n" + no_image.dump() + "\n" + broken.dump() +
                           "\n" + no_answer.dump() + "\n" + null_image.dump() + "\n" +
                           good[0].dump() + "\n{\"id\": \"\xff\"}\n" + good[5].dump() + "\n";
  write_file_atomic(folder_ / "eval/mixed.jsonl", rows);
  PrismConfig c = config("mixed");
  c.data.files = {path("eval/mixed.jsonl")};
  EXPECT_THAT(input_error([&] { evaluate(c); }), HasSubstr("mixed.jsonl:2: malformed JSON"));
  EXPECT_FALSE(fs::exists(folder_ / "mixed"));
  c.data.bad_rows = BadRows::kSkip;
  const EvalResult result = evaluate(c);
  EXPECT_EQ(result.bad_rows, 6);
  int64_t items = 0, skipped = 0;
  for (const BenchmarkResult& row : result.benchmarks) items += row.items, skipped += row.skipped;
  EXPECT_EQ(items, 2);
  EXPECT_EQ(skipped, 1);  // text.png is known to be no image only when it is read
  EXPECT_THAT(result_table(result), HasSubstr("6 bad rows of the data left out"));
  const auto done = records("mixed");
  ASSERT_EQ(done.size(), 3u);
  EXPECT_THAT(done.at(1).at("error").get<std::string>(), HasSubstr("text.png"));
}

TEST_F(Eval, QuestionsThatDoNotFitAreNotWrongAnswers) {
  PrismConfig c = config("unasked");
  c.answerer.max_new_tokens = 2040;  // of a context of 2048
  const EvalResult result = evaluate(c);
  for (const BenchmarkResult& row : result.benchmarks) {
    EXPECT_EQ(row.items + row.answers, 0);
    EXPECT_GT(row.unanswered, 0);
  }
  EXPECT_FALSE(result.average);
  for (const auto& [index, line] : records("unasked"))
    EXPECT_TRUE(line.at("samples")[0].at("score").is_null());
}

TEST_F(Eval, ThePublishedProtocol) {
  PrismConfig published;
  load_config(fs::path(CAPRL_SOURCE_DIR "/configs/eval_prism.yaml"), {}, published);
  published.validate();
  const PrismConfig defaults;
  EXPECT_EQ(published.sampling.n, 4);
  EXPECT_EQ(published.sampling.temperature, 1);
  EXPECT_EQ(published.sampling.response_length, 2048);
  EXPECT_EQ(defaults.sampling.n, 4);
  EXPECT_EQ(defaults.sampling.response_length, 2048);
  EXPECT_EQ(published.answerer.temperature, 1);
  EXPECT_EQ(published.answerer.max_new_tokens, 2048);
  EXPECT_EQ(published.answerer.answer, AnswerForm::kTagged);
}

TEST_F(Eval, WrongConfigsAreRefusedBeforeAnyWork) {
  const auto error_of = [&](auto change) {
    PrismConfig c = config("refused");
    change(c);
    const std::string message = input_error([&] { evaluate(c); });
    EXPECT_FALSE(fs::exists(folder_ / "refused"));
    return message;
  };
  EXPECT_THAT(error_of([](auto& c) { c.run.dir.clear(); }), HasSubstr("'run.dir' is not set"));
  EXPECT_THAT(error_of([](auto& c) { c.data.files.clear(); }), HasSubstr("'data.files' names no"));
  EXPECT_THAT(error_of([](auto& c) { c.data.files = {"chartq:x.json"}; }),
              HasSubstr("expected one of items, qa,"));
  EXPECT_THAT(error_of([](auto& c) { c.data.files = {"nowhere.jsonl"}; }),
              HasSubstr("nowhere.jsonl"));
  EXPECT_THAT(error_of([](auto& c) { c.answerer.model.clear(); }),
              HasSubstr("'answerer.model' is not set"));
  EXPECT_THAT(error_of([](auto& c) { c.answerer.prompt = "{caption}"; }),
              HasSubstr("'answerer.prompt': expected the placeholder {question}"));
  EXPECT_THAT(error_of([](auto& c) { c.captioner.model = kModels + "answerer"; }),
              HasSubstr("expected a vision-language model"));
  EXPECT_THAT(error_of([](auto& c) { c.data.prompt = "a <|image_pad|>"; }),
              HasSubstr("reserved token '<|image_pad|>'"));
}

}  // namespace
}  // namespace caprl
