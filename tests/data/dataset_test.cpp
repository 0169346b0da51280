#include "caprl/data/dataset.h"

#include "support.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Datasets : public DataFiles {
 protected:
  /// Two good rows around everything that makes a row bad, in two files.
  static std::vector<std::string> mixed_files() {
    json no_questions = caption_row();
    no_questions["reward_model"]["ground_truth"] = json::array();
    json no_file = caption_row();
    no_file["image"] = "none.png";
    json last = caption_row();
    last["id"] = "last";
    write("one.jsonl", caption_row().dump() + "\n{\"id\": 1,\n\n" + no_questions.dump() + "\n");
    write("two.jsonl", "{\"id\": 1, \"id\": 2}\n" + no_file.dump() + "\n[]\n" + last.dump());
    return {path("one.jsonl"), path("two.jsonl")};
  }
  static Dataset<CaptionRow> load(const std::vector<std::string>& files, BadRows bad_rows) {
    return load_caption_rows(files, bad_rows, *tokenizer_);
  }
};

TEST_F(Datasets, BadRowsAreSkippedAndCounted) {
  const Dataset<CaptionRow> dataset = load(mixed_files(), BadRows::kSkip);
  EXPECT_EQ(dataset.num_skipped, 5);
  ASSERT_EQ(dataset.rows.size(), 2u);
  EXPECT_EQ(dataset.rows[0].where, path("one.jsonl") + ":1");
  EXPECT_EQ(dataset.rows[1].where, path("two.jsonl") + ":4");
  EXPECT_EQ(dataset.rows[1].id, "last");
}

TEST_F(Datasets, TheFirstQuestionsAlone) {
  json row = caption_row();
  json& questions = row["reward_model"]["ground_truth"];
  const json first = questions.at(0);
  questions = {first, first, first};
  questions[1]["question"] = "second";
  questions[2]["question"] = "third";
  write("three.jsonl", row.dump());
  const auto count = [&](int64_t most) {
    return load_caption_rows({path("three.jsonl")}, BadRows::kStop, *tokenizer_, most)
        .rows.at(0)
        .questions.size();
  };
  EXPECT_EQ(count(0), 3u);
  EXPECT_EQ(count(2), 2u);
  EXPECT_EQ(count(5), 3u);
}

TEST_F(Datasets, TheFirstBadRowStops) {
  EXPECT_THAT(input_error([&] { load(mixed_files(), BadRows::kStop); }),
              HasSubstr(path("one.jsonl") + ":2: malformed JSON"));
}

TEST_F(Datasets, FilesThatAreNoneStopEitherWay) {
  write("empty.jsonl", "");
  write("blank.jsonl", "\n  \n");
  // A zstd frame that ends early.
  write("cut.jsonl", std::string("\x28\xb5\x2f\xfd\x04", 5));
  for (const BadRows bad_rows : {BadRows::kStop, BadRows::kSkip}) {
    for (const char* name : {"empty.jsonl", "blank.jsonl"})
      EXPECT_EQ(input_error([&] { load({path(name)}, bad_rows); }),
                path(name) + ": expected lines of JSON, got none");
    EXPECT_THAT(input_error([&] { load({path("cut.jsonl")}, bad_rows); }),
                HasSubstr(path("cut.jsonl")));
    EXPECT_THAT(input_error([&] { load({path("none.jsonl")}, bad_rows); }),
                HasSubstr("none.jsonl"));
  }
}

TEST_F(Datasets, SupervisedRows) {
  write("sft.jsonl", sft_row().dump() + "\n{}\n" + sft_row().dump() + "\n");
  const Dataset<SftRow> dataset = load_sft_rows({path("sft.jsonl")}, BadRows::kSkip, *tokenizer_);
  EXPECT_EQ(dataset.rows.size(), 2u);
  EXPECT_EQ(dataset.num_skipped, 1);
  EXPECT_EQ(dataset.rows[1].where, path("sft.jsonl") + ":3");
}

}  // namespace
}  // namespace caprl
