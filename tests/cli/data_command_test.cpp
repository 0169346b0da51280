// `caprl data`, and training from what it writes.
#include "caprl/io/parquet.h"
#include "caprl/train/grpo_trainer.h"
#include "caprl/train/sft_trainer.h"
#include "cli/support.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class DataCommand : public TinyRun {
 protected:
  void SetUp() override {
    if (!has_parquet()) GTEST_SKIP() << "this build has no Parquet";
  }
  static void convert(const std::string& from, const std::string& to,
                      std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"data", "convert", path(from), "--out", path(to)});
    const Outcome outcome = caprl(more);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
  static Outcome validate(const std::string& file, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"data", "validate", path(file), "--model", path("captioner")});
    return caprl(more);
  }
};

TEST_F(DataCommand, TrainingFromParquetGivesTheBytesOfTrainingFromJsonl) {
  convert("world/train.jsonl", "world/train.parquet", {"--embed-images", "--row-group-mb", "1"});
  convert("world/heldout.jsonl", "world/heldout.parquet");
  // Nothing but the Parquet file is left to read the images from.
  std::filesystem::rename(folder_ / "world/images/train", folder_ / "world/put_away");
  GrpoConfig config = grpo("from_parquet", 4);
  config.eval.freq = 2;
  config.data.train_files = {path("world/tr*.parquet")};
  config.data.val_files = {path("world/heldout.parquet")};
  GrpoTrainer(config, "auto").run();
  std::filesystem::rename(folder_ / "world/put_away", folder_ / "world/images/train");
  config = grpo("from_jsonl", 4);
  config.eval.freq = 2;
  GrpoTrainer(config, "auto").run();
  // Records of captions name the file that their row is from.
  for (const char* run : {"from_parquet", "from_jsonl"})
    for (const char* records : {"rollouts", "eval"})
      EXPECT_GT(std::filesystem::remove_all(folder_ / run / records), 1u);
  expect_same_run("from_parquet", "from_jsonl");
}

TEST_F(DataCommand, SupervisedTrainingToo) {
  convert("world/captioner_sft.jsonl", "world/captioner_sft.parquet");
  SftConfig config = sft("sft_parquet", "captioner", 2);
  config.data.train_files = {path("world/captioner_sft.parquet")};
  SftTrainer(config, "auto").run();
  SftTrainer(sft("sft_jsonl", "captioner", 2), "auto").run();
  expect_same_run("sft_parquet", "sft_jsonl");
}

TEST_F(DataCommand, InspectShowsSchemaRowGroupsAndRows) {
  convert("world/train.jsonl", "inspect.parquet", {"--embed-images"});
  const Outcome outcome = caprl({"data", "inspect", path("inspect.parquet"), "--rows", "1"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("Parquet, 12 rows, 1 row groups"),
                                 HasSubstr("\n  image: struct<bytes: binary, path: string>\n"),
                                 HasSubstr("inspect.parquet: row 0 (row group 0)\n"),
                                 HasSubstr(" bytes>\""), testing::Not(HasSubstr("row 1 (row"))));
  EXPECT_THAT(caprl({"data", "inspect", path("world/train.jsonl")}).out,
              AllOf(HasSubstr("JSONL, 12 rows"), HasSubstr("train.jsonl:3\n")));
}

TEST_F(DataCommand, Stats) {
  convert("world/train.jsonl", "stats.parquet", {"--embed-images"});
  const auto stats = [](std::vector<std::string> files) {
    files.insert(files.begin(), {"data", "stats", "--json"});
    return caprl(files).lines().at(0);
  };
  const auto paths = stats({path("world/train.jsonl")});
  auto embedded = stats({path("stats.parquet")});
  EXPECT_EQ(paths["rows"], 12);
  EXPECT_EQ(paths["images"]["by_path"], 12);
  EXPECT_EQ(paths["images"]["unreadable"], 0);
  EXPECT_EQ(paths["images"]["width"]["max"], 56);
  int64_t questions = 0, answers = 0;
  for (const auto& row : lines(folder_ / "world/train.jsonl"))
    questions += static_cast<int64_t>(row["reward_model"]["ground_truth"].size());
  for (const auto& [letter, count] : paths["questions"]["answers"].items())
    answers += count.get<int64_t>();
  EXPECT_EQ(paths["questions"]["total"], questions);
  EXPECT_EQ(answers, questions);
  EXPECT_EQ(embedded["images"]["embedded"], 12);
  embedded["images"]["embedded"] = 0;
  embedded["images"]["by_path"] = 12;
  EXPECT_EQ(embedded, paths);
  const auto twice = stats({path("stats.parquet"), path("world/train.jsonl")});
  EXPECT_EQ(twice["ids"]["duplicates"], 12);
  EXPECT_EQ(twice["images"]["duplicates"].get<int64_t>(),
            12 + 2 * paths["images"]["duplicates"].get<int64_t>() -
                paths["images"]["duplicates"].get<int64_t>());
  EXPECT_THAT(caprl({"data", "stats", path("stats.parquet")}).out,
              AllOf(HasSubstr("rows: 12\n"), HasSubstr("\n  embedded: 12\n")));
}

TEST_F(DataCommand, ValidateAcceptsWhatTrainingUses) {
  convert("world/train.jsonl", "good.parquet", {"--embed-images"});
  const Outcome outcome = validate("good.parquet");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("        12         0  " + path("good.parquet")));
  EXPECT_EQ(validate("world/captioner_sft.jsonl", {"--sft"}).exit_code, 0);
}

TEST_F(DataCommand, ValidateSaysWhatIsWrongAndWhere) {
  auto rows = lines(folder_ / "world/train.jsonl");
  rows[1]["reward_model"]["ground_truth"][0]["answer"] = "Z";
  rows[4]["id"] = rows[3]["id"];
  rows[6]["image"] = {{"bytes", "Zm9vYmFy"}, {"path", nullptr}};
  rows[9]["image"]["path"] = "none.png";
  rows.resize(10);
  std::string text;
  for (const auto& row : rows) text += row.dump() + "\n";
  write_file_atomic(folder_ / "world/bad.jsonl", text + "{\"id\": \n");
  const Outcome outcome = validate("world/bad.jsonl");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err, "error: 5 of 11 rows are bad, 0 of 1 files cannot be used\n");
  for (const char* words :
       {"bad.jsonl:2: the answer 'Z' of a question is none of its", "bad.jsonl:5: the id '",
        "bad.jsonl:7: embedded image: ", "bad.jsonl:10: image ", "bad.jsonl:11: malformed JSON"})
    EXPECT_THAT(outcome.out, HasSubstr(words));
  // As Parquet, without the line that is no JSON.
  convert("world/bad.jsonl", "world/bad.parquet", {"--skip-bad-rows"});
  const Outcome parquet = validate("world/bad.parquet");
  EXPECT_EQ(parquet.exit_code, 2);
  EXPECT_THAT(parquet.err, HasSubstr("4 of 10 rows are bad"));
  for (const char* words : {"row 1 (row group 0): the answer 'Z'", "row 4 (row group 0): the id '",
                            "row 6 (row group 0): embedded image: ", "row 9 (row group 0): image "})
    EXPECT_THAT(parquet.out, HasSubstr(words));
}

TEST_F(DataCommand, ValidateGoesOnAfterAFileThatIsNone) {
  write_file_atomic(folder_ / "none.parquet", "no Parquet");
  const Outcome outcome = caprl({"data", "validate", path("none.parquet"),
                                 path("world/heldout.jsonl"), "--model", path("captioner")});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err, "error: 0 of 4 rows are bad, 1 of 2 files cannot be used\n");
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr(path("none.parquet") + ": "),
                    HasSubstr("         4         0  " + path("world/heldout.jsonl"))));
}

TEST_F(DataCommand, ValidateKnowsPromptsThatAreTooLong) {
  const Outcome outcome = validate("world/heldout.jsonl", {"--max-prompt-length", "3"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.out, HasSubstr("the prompt is too long: expected at most 3 tokens"));
}

TEST_F(DataCommand, WrongUse) {
  EXPECT_EQ(caprl({"data"}).exit_code, 2);
  EXPECT_EQ(caprl({"data", "convert", path("world/train.jsonl")}).exit_code, 2);
  const Outcome outcome = caprl({"data", "stats", path("none*.parquet.gone")});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.err,
            "error: " + path("none*.parquet.gone") + ": the pattern matches no file\n");
}

}  // namespace
}  // namespace caprl
