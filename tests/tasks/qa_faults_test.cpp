// `caprl qa`: the same files by one process, by two, and after kills; bad input.
#include "caprl/io/parquet.h"
#include "kills.h"
#include "qa_run.h"
#include "support/errors.h"
#include "support/ranks.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
namespace fs = std::filesystem;

TEST_F(Qa, TwoProcessesGiveTheSame) {
  whole();
  const std::string file = file_of(config("two"), "two");
  Ranks ranks(folder_ / "two_logs", 2, {CAPRL_BIN_DIR "/caprl", "qa", "--json", "--config", file});
  const auto results = ranks.wait();
  for (const auto& result : results) EXPECT_EQ(result.code, 0) << result.log;
  EXPECT_EQ(records("two", "answered"), records("whole", "answered"));
  EXPECT_EQ(outputs("two"), whole());
  EXPECT_GT(fs::file_size(folder_ / "two/answered-00001-of-00002.jsonl"), 0u);
  EXPECT_THAT(results[0].log, HasSubstr("\"kept\""));
}

/// Every stage killed at random moments: texts that are written and extracted, and questions that
/// are asked.
TEST_F(Qa, KilledRunsContinue) {
  for (QaConfig c : {writing("written"), config("asked")}) {
    const std::string name = c.data.given_questions ? "asked" : "written";
    SCOPED_TRACE(name);
    c.data.batch_items = 2;
    const auto command = [&](const std::string& run) {
      c.run.dir = path(run);
      return std::vector<std::string>{CAPRL_BIN_DIR "/caprl", "qa", "--config", file_of(c, run)};
    };
    const auto unharmed = command(name);
    const auto whole =
        duration_of([&] { ASSERT_EQ(run_for(unharmed, std::chrono::minutes(5)), 0); });
    const auto texts = records(name, "written"), answers = records(name, "answered");
    ASSERT_EQ(texts.size(), c.data.given_questions ? 0u : 12u);
    ASSERT_EQ(answers.size(), 12u);
    const KilledRun run{command("killed"), folder_ / "killed", "result.json", whole};
    run_under_kills(run, num_kills(5), [&] {
      EXPECT_EQ(records("killed", "written"), texts);
      EXPECT_EQ(records("killed", "answered"), answers);
      EXPECT_EQ(outputs("killed"), outputs(name));
    });
  }
}

TEST_F(Qa, BadRowsStopOrAreSaidAndCounted) {
  const std::vector<json> good = lines(folder_ / "world/train.jsonl");
  write_file_atomic(folder_ / "world/text.png", "no image");
  json no_image = good[1], broken = good[2], no_answer = good[3], null_image = good[4],
       no_questions = good[5], again = good[0];
  no_image["image"] = "none.png";
  broken["image"] = "text.png";
  no_answer["reward_model"]["ground_truth"][0]["answer"] = "Z";
  null_image["image"] = nullptr;
  no_questions.erase("reward_model");
  std::string rows;
  for (const json& row : {good[0], no_image, broken, no_answer, null_image, no_questions, again})
    rows += row.dump() + "\n";
  rows += "{\n{\"id\": \"\xff\"}\n";
  write_file_atomic(folder_ / "world/mixed.jsonl", rows);
  QaConfig c = config("mixed");
  c.data.files = {path("world/mixed.jsonl")};
  EXPECT_THAT(input_error([&] { curate_questions(c); }), HasSubstr("mixed.jsonl:2: "));
  EXPECT_FALSE(fs::exists(folder_ / "mixed"));
  c.data.bad_rows = BadRows::kSkip;
  const QaResult result = curate_questions(c);
  EXPECT_EQ(result.items, 9);
  EXPECT_EQ(result.duplicates, 1);
  EXPECT_EQ(result.unusable, 6);
  EXPECT_EQ(result.responses, 2);
  EXPECT_EQ(result.found, 12);
  EXPECT_EQ(result.dropped.at("malformed"), 1);
  const json again_line = lines(folder_ / "mixed/manifest.duplicates.jsonl").at(0);
  EXPECT_THAT(again_line.at("where").get<std::string>(), HasSubstr("mixed.jsonl:7"));
  EXPECT_THAT(again_line.at("first_where").get<std::string>(), HasSubstr("mixed.jsonl:1"));
  std::string reasons;
  for (const json& line : lines(folder_ / "mixed/dropped.jsonl"))
    reasons += line.at("why").get<std::string>() + "\n";
  for (const char* reason :
       {"mixed.jsonl:2: image", "none.png: no such file", "text.png", "mixed.jsonl:5: image",
        "mixed.jsonl:6: expected questions", "mixed.jsonl:8: malformed JSON",
        "mixed.jsonl:9: malformed JSON", "the answer 'Z' of a question is none of its"})
    EXPECT_THAT(reasons, HasSubstr(reason));
  // The second row of an id, and of an image named twice.
  c.data.bad_rows = BadRows::kStop;
  c.run.dir = path("twice");
  write_file_atomic(folder_ / "world/twice.jsonl", good[0].dump() + "\n" + again.dump() + "\n");
  c.data.files = {path("world/twice.jsonl")};
  EXPECT_THAT(input_error([&] { curate_questions(c); }),
              testing::AllOf(HasSubstr("twice.jsonl:2: the same item as"),
                             HasSubstr("twice.jsonl:1; expected each once")));
}

TEST_F(Qa, AnotherRunOrOtherDataIsRefused) {
  whole();
  QaConfig c = config("whole");
  c.filter.rotations = 3;
  EXPECT_THAT(input_error([&] { curate_questions(c); }), HasSubstr("was begun with another model"));
  c = config("grown");
  write_file_atomic(folder_ / "world/grown.jsonl", read_file(folder_ / "world/train.jsonl"));
  c.data.files = {path("world/grown.jsonl")};
  curate_questions(c);
  write_file_atomic(folder_ / "world/grown.jsonl", read_file(folder_ / "world/heldout.jsonl"));
  EXPECT_THAT(
      input_error([&] { curate_questions(c); }),
      testing::AllOf(HasSubstr("grown.jsonl: expected"), HasSubstr("as when the run began")));
}

TEST_F(Qa, WrongConfigsAreRefusedBeforeAnyWork) {
  const auto error_of = [&](auto change) {
    QaConfig c = config("refused");
    change(c);
    const std::string message = input_error([&] { curate_questions(c); });
    EXPECT_FALSE(fs::exists(folder_ / "refused"));
    return message;
  };
  EXPECT_THAT(error_of([](auto& c) { c.run.dir.clear(); }), HasSubstr("'run.dir' is not set"));
  EXPECT_THAT(error_of([](auto& c) { c.data.files.clear(); }), HasSubstr("neither 'data.files'"));
  EXPECT_THAT(error_of([](auto& c) { c.data.given_questions = false; }),
              HasSubstr("'writer.model' is not set"));
  EXPECT_THAT(error_of([](auto& c) { c.data.images = {"x"}; }), HasSubstr("without questions"));
  EXPECT_THAT(error_of([](auto& c) { c.filter.model.clear(); }), HasSubstr("'filter.model'"));
  EXPECT_THAT(error_of([](auto& c) { c.filter.prompt = "x"; }), HasSubstr("{question}"));
  EXPECT_THAT(error_of([](auto& c) { c.output.prompt = "x"; }), HasSubstr("'<image>' once"));
  EXPECT_THAT(error_of([](auto& c) { c.data.files = {"nowhere.jsonl"}; }),
              HasSubstr("nowhere.jsonl"));
  if (!has_parquet())
    EXPECT_THAT(error_of([](auto& c) { c.output.format = QaFormat::kParquet; }),
                HasSubstr("this build has no Parquet"));
}

}  // namespace
}  // namespace caprl
