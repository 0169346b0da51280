// Rows of Parquet files as training reads them, beside the same rows in JSONL.
#include "caprl/data/reader.h"

#include "caprl/data/dataset.h"
#include "caprl/io/parquet.h"
#include "support.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class ParquetData : public DataFiles {
 protected:
  void SetUp() override {
    if (!has_parquet()) GTEST_SKIP() << "this build has no Parquet";
  }
  using Kind = ColumnType::Kind;

  static ColumnType text(const std::string& name) { return {Kind::kText, name, "string", {}}; }
  static ColumnType object(const std::string& name, std::vector<ColumnType> members) {
    return {Kind::kStruct, name, "struct", std::move(members)};
  }
  static ColumnType list(const std::string& name, ColumnType element) {
    element.name = "element";
    return {Kind::kList, name, "list", {std::move(element)}};
  }
  /// The schema of CapRL-QA-75K.
  static std::vector<ColumnType> schema() {
    const ColumnType question =
        object("", {text("question"), list("choices", text("")), text("answer")});
    return {text("id"), object("image", {{Kind::kBytes, "bytes", "binary", {}}, text("path")}),
            list("prompt", object("", {text("role"), text("content")})), text("data_source"),
            object("reward_model", {list("ground_truth", question)})};
  }
  static json embedded(const std::string& id, const std::string& bytes) {
    json row = caption_row();
    row["id"] = id;
    row["image"] = {{"bytes", json::binary({bytes.begin(), bytes.end()})}, {"path", id + ".png"}};
    return row;
  }
  static void write_parquet(const std::string& name, const std::vector<json>& rows,
                            const std::vector<ColumnType>& columns = schema()) {
    ParquetWriter writer(path(name), columns, {.row_group_bytes = 600});
    for (const json& row : rows) writer.append(row, "x");
    writer.commit();
  }
  static Dataset<CaptionRow> load(const std::vector<std::string>& files,
                                  BadRows bad_rows = BadRows::kStop) {
    return load_caption_rows(files, bad_rows, *tokenizer_);
  }
  static std::string content(const ImageSource& source) {
    const SharedBytes bytes = file_content(source);
    return {reinterpret_cast<const char*>(bytes.bytes.data()), bytes.bytes.size()};
  }
};

TEST_F(ParquetData, RowsAreThoseOfJsonl) {
  write_parquet("rows.parquet", {embedded("1", "one"), caption_row(), embedded("2", "two")});
  const auto rows = load({path("rows.parquet")}).rows;
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(content(rows[0].image), "one");
  EXPECT_EQ(content(rows[2].image), "two");
  EXPECT_EQ(rows[2].image.name, rows[2].where + ": embedded image");
  EXPECT_EQ(rows[1].image.path, folder_ / "a.png");
  EXPECT_EQ(rows[1].where.substr(0, path("rows.parquet").size() + 19),
            path("rows.parquet") + ": row 1 (row group ");

  write("rows.jsonl", caption_row().dump());
  const CaptionRow same = load({path("rows.jsonl")}).rows.at(0);
  EXPECT_EQ(rows[1].id, same.id);
  ASSERT_EQ(rows[1].questions.size(), same.questions.size());
  EXPECT_EQ(rows[1].questions[1].choices, same.questions[1].choices);
  EXPECT_EQ(rows[1].questions[1].answer, same.questions[1].answer);
  EXPECT_EQ(rows[1].prompt[0].content[1].text, same.prompt[0].content[1].text);
}

TEST_F(ParquetData, BadRowsAreSaidWithTheirPlaceAndCounted) {
  json no_image = embedded("none", "x");
  no_image["image"] = nullptr;
  json empty_image = embedded("empty", "x");
  empty_image["image"] = {{"bytes", nullptr}, {"path", nullptr}};
  json no_answer = embedded("no answer", "x");
  no_answer["reward_model"]["ground_truth"][0]["answer"] = "C";
  json null_answer = embedded("null answer", "x");
  null_answer["reward_model"]["ground_truth"][0]["answer"] = nullptr;
  const std::vector<std::pair<json, std::string>> bad = {
      {no_image, "image: expected an object with 'path' or 'bytes', got null"},
      {empty_image, "image: expected bytes or a path, got neither"},
      {no_answer, "the answer 'C' of a question is none of its 2 choices"},
      {null_answer, "'answer' of a question: expected a string, got null"},
      {embedded("1", "again"), "the id '1' occurs a second time; the first is at "}};
  std::vector<json> all = {embedded("1", "one")};
  for (const auto& [row, words] : bad) {
    write_parquet("bad.parquet", {embedded("1", "one"), row});
    EXPECT_THAT(input_error([&] { load({path("bad.parquet")}); }),
                testing::MatchesRegex(".*bad.parquet: row 1 .row group [01].: .*"));
    EXPECT_THAT(input_error([&] { load({path("bad.parquet")}); }), HasSubstr(words));
    all.push_back(row);
  }
  all.push_back(embedded("last", "last"));
  write_parquet("bad.parquet", all);
  const auto dataset = load({path("bad.parquet")}, BadRows::kSkip);
  EXPECT_EQ(dataset.num_skipped, 5);
  ASSERT_EQ(dataset.rows.size(), 2u);
  EXPECT_EQ(content(dataset.rows[1].image), "last");
}

TEST_F(ParquetData, ADamagedRowGroupIsSkippedWithAllItsRows) {
  std::vector<json> rows;
  for (int i = 0; i < 20; ++i) rows.push_back(embedded(std::to_string(i), std::string(200, 'x')));
  write_parquet("damaged.parquet", rows);
  const ParquetFile file(path("damaged.parquet"));
  ASSERT_GE(file.row_groups().size(), 3u);
  // The first frame of the second row group's text.
  std::ifstream in(path("damaged.parquet"), std::ios::binary);
  std::string content((std::istreambuf_iterator<char>(in)), {});
  const auto first_group = static_cast<size_t>(file.row_groups()[0].stored_bytes);
  const size_t frame = content.find("\x28\xb5\x2f\xfd", first_group + 100);
  ASSERT_NE(frame, std::string::npos);
  content[frame + 6] ^= 0x10;
  write("damaged.parquet", content);
  EXPECT_THAT(input_error([&] { load({path("damaged.parquet")}); }),
              testing::MatchesRegex(".*damaged.parquet: rows .* .row group 1.: column '.*': .*"));
  const auto dataset = load({path("damaged.parquet")}, BadRows::kSkip);
  EXPECT_EQ(dataset.num_skipped, file.row_groups()[1].num_rows);
  EXPECT_EQ(static_cast<int64_t>(dataset.rows.size()) + dataset.num_skipped, 20);
}

TEST_F(ParquetData, ColumnsOfTheWrongType) {
  const auto refused = [&](const std::string& name, ColumnType column) {
    std::vector<ColumnType> columns = schema();
    for (ColumnType& known : columns)
      if (known.name == name) known = column;
    write_parquet("types.parquet", {json::object()}, columns);
    for (const BadRows bad_rows : {BadRows::kStop, BadRows::kSkip}) {
      const std::string message = input_error([&] { load({path("types.parquet")}, bad_rows); });
      EXPECT_EQ(message.find(path("types.parquet") + ": "), 0u);
      if (bad_rows == BadRows::kSkip) return message.substr(path("types.parquet").size() + 2);
    }
    return std::string();
  };
  EXPECT_EQ(refused("id", {Kind::kFloat, "id", "double", {}}),
            "column 'id': expected string or integer, got double");
  EXPECT_EQ(refused("image", {Kind::kBytes, "image", "binary", {}}),
            "column 'image': expected struct or string, got binary");
  EXPECT_EQ(refused("image", object("image", {text("bytes")})),
            "column 'image.bytes': expected binary, got string");
  EXPECT_EQ(refused("prompt", text("prompt")), "column 'prompt': expected list, got string");
  EXPECT_EQ(refused("prompt", list("prompt", object("", {text("role")}))),
            "column 'prompt.element.content' is missing; 'prompt.element' is struct<role: string>");
  EXPECT_EQ(
      refused("reward_model", text("reward")),
      "column 'reward_model' is missing; the file has id, image, prompt, data_source, reward");
  EXPECT_EQ(refused("reward_model",
                    object("reward_model",
                           {list("ground_truth", object("", {text("question"), text("choices"),
                                                             text("answer")}))})),
            "column 'reward_model.ground_truth.element.choices': expected list, got string");
}

/// As `datasets`, polars and pandas write them (tools/golden/make_parquet.py).
TEST_F(ParquetData, FilesOfOtherWritersGiveTheSameRows) {
  const std::string golden = CAPRL_TEST_FILES "/io/";
  const auto usual = load({golden + "captions.parquet"}, BadRows::kSkip);
  ASSERT_EQ(usual.rows.size(), 9u);
  EXPECT_EQ(usual.num_skipped, 3);  // paths to no file
  for (const char* name : {"captions_hub.parquet", "captions_large.parquet", "captions_lz4.parquet",
                           "captions_categories.parquet", "captions_v2.parquet"}) {
    SCOPED_TRACE(name);
    const auto same = load({golden + name}, BadRows::kSkip);
    EXPECT_EQ(same.num_skipped, 3);
    ASSERT_EQ(same.rows.size(), usual.rows.size());
    for (size_t i = 0; i < same.rows.size(); ++i) {
      EXPECT_EQ(same.rows[i].id, usual.rows[i].id);
      EXPECT_EQ(content(same.rows[i].image), content(usual.rows[i].image));
      ASSERT_EQ(same.rows[i].questions.size(), usual.rows[i].questions.size());
      EXPECT_EQ(same.rows[i].questions[0].text, usual.rows[i].questions[0].text);
      EXPECT_EQ(same.rows[i].questions[0].choices, usual.rows[i].questions[0].choices);
      EXPECT_EQ(same.rows[i].questions[0].answer, usual.rows[i].questions[0].answer);
    }
  }
}

TEST_F(ParquetData, SupervisedRowsWithTheirImage) {
  const auto row = [](const json& image, const json& content) {
    return json{{"id", "1"},
                {"image", image},
                {"messages", {{{"role", "user"}, {"content", content}}}},
                {"response", "a circle"}};
  };
  const json embedded = {{"bytes", json::binary({1, 2, 3})}, {"path", "x.png"}};
  const std::vector<ColumnType> columns = {
      text("id"), object("image", {{Kind::kBytes, "bytes", "binary", {}}, text("path")}),
      list("messages", object("", {text("role"), text("content")})), text("response")};
  write_parquet("sft.parquet",
                {row(embedded, "<image>What is it?"), row(nullptr, "What is a circle?"),
                 row({{"bytes", nullptr}, {"path", "a.png"}}, "What is <image>?")},
                columns);
  const auto rows = load_sft_rows({path("sft.parquet")}, BadRows::kStop, *tokenizer_).rows;
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(content(rows[0].images.at(0)), "\1\2\3");
  EXPECT_TRUE(rows[1].images.empty());
  EXPECT_EQ(rows[2].images.at(0).path, folder_ / "a.png");
  write_parquet("sft.parquet", {row(embedded, "What is it?")}, columns);
  EXPECT_EQ(input_error([&] { load_sft_rows({path("sft.parquet")}, BadRows::kStop, *tokenizer_); }),
            path("sft.parquet") +
                ": row 0 (row group 0): messages: expected '<image>' once, for the "
                "row's image, got it nowhere");
}

TEST_F(ParquetData, PatternsAreFilesInTheOrderOfTheirNames) {
  std::filesystem::create_directories(folder_ / "shards");
  for (const char* id : {"b", "a", "c"})
    write_parquet(std::string("shards/") + id + ".parquet", {embedded(id, id)});
  write("shards/0.jsonl", caption_row().dump());
  std::filesystem::copy_file(folder_ / "a.png", folder_ / "shards/a.png");
  std::vector<std::string> ids;
  for (const CaptionRow& row : load({path("shards/*.parquet"), path("shards/*.jsonl")}).rows)
    ids.push_back(row.id);
  EXPECT_THAT(ids, ElementsAre("a", "b", "c", "7"));
  EXPECT_EQ(input_error([&] { load({path("shards/*.txt")}); }),
            path("shards/*.txt") + ": the pattern matches no file");
}

TEST_F(ParquetData, FilesThatAreNoneStopEitherWay) {
  write("text.parquet", "{\"id\": 1}");
  write_parquet("empty.parquet", {});
  for (const BadRows bad_rows : {BadRows::kStop, BadRows::kSkip}) {
    EXPECT_THAT(input_error([&] { load({path("text.parquet")}, bad_rows); }),
                HasSubstr(path("text.parquet") + ": "));
    EXPECT_EQ(input_error([&] { load({path("empty.parquet")}, bad_rows); }),
              path("empty.parquet") + ": expected rows, got none");
  }
}

TEST_F(ParquetData, RowsWithoutAPromptGetTheirs) {
  json row = embedded("1", "one");
  row["prompt"] = nullptr;
  write_parquet("plain.parquet", {row});
  const std::vector<ChatMessage> prompt = {{"user", {{ChatPart::Kind::kImage, {}}}}};
  const auto rows = load_image_rows({path("plain.parquet")}, BadRows::kStop, *tokenizer_, prompt);
  ASSERT_EQ(rows.rows.at(0).prompt.size(), 1u);
}

}  // namespace
}  // namespace caprl
