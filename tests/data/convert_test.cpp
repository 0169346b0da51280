#include "caprl/data/convert.h"

#include "caprl/data/dataset.h"
#include "caprl/io/base64.h"
#include "caprl/io/jsonl.h"
#include "data/row_types.h"
#include "support.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Convert : public DataFiles {
 protected:
  void SetUp() override {
    if (!has_parquet()) GTEST_SKIP() << "this build has no Parquet";
  }
  static std::vector<json> lines(const std::string& name) {
    std::vector<json> rows;
    JsonlReader reader(path(name));
    while (auto line = reader.next()) rows.push_back(std::move(line->value));
    return rows;
  }
  static ConvertCounts convert(const std::string& from, const std::string& to,
                               const ConvertOptions& options = {}) {
    return convert_data({path(from)}, path(to), options);
  }
  /// From JSONL to Parquet and back.
  static std::vector<json> there_and_back(const std::string& text) {
    write("there.jsonl", text);
    convert("there.jsonl", "there.parquet");
    convert("there.parquet", "back.jsonl");
    return lines("back.jsonl");
  }
};

TEST_F(Convert, NothingIsLostOnTheWayThereAndBack) {
  json embedded = caption_row();
  embedded["id"] = "图 🙂";
  embedded["image"] = {{"bytes", "AAECAwQF/w=="}, {"path", "anything.jpg"}};
  embedded["reward_model"]["style"] = "rule";
  json more = caption_row();
  more["extra"] =
      json_of(R"({"n": [1, -9007199254740993, 9223372036854775807], "deep": [[], [true]],
                              "x": 0.1, "list": [{"a": 1}, {"b": "x"}, null]})");
  const std::vector<json> rows = {caption_row(), embedded, more};
  std::string text;
  for (const json& row : rows) text += row.dump() + "\n";
  EXPECT_EQ(there_and_back(text), rows);
}

TEST_F(Convert, SupervisedRows) {
  json text_only = sft_row();
  text_only["messages"] =
      json_of(R"([{"role": "user", "content": [{"type": "text", "text": "?"}]}])");
  json with_image = text_only;
  with_image["messages"][0]["content"].push_back({{"type", "image"}, {"image", "a.png"}});
  EXPECT_EQ(there_and_back(text_only.dump() + "\n" + with_image.dump()),
            (std::vector{text_only, with_image}));
  const auto rows = load_sft_rows({path("there.parquet")}, BadRows::kStop, *tokenizer_).rows;
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].images.at(0).path, folder_ / "a.png");
}

TEST_F(Convert, ImagesHaveOneForm) {
  json row = caption_row();
  row["image"] = "a.png";
  EXPECT_EQ(there_and_back(row.dump()).at(0)["image"], (json{{"path", "a.png"}}));
  EXPECT_EQ(describe(ParquetFile(path("there.parquet")).columns().at(1)),
            "struct<bytes: binary, path: string>");
}

TEST_F(Convert, RelativePathsNameTheSameFiles) {
  std::filesystem::create_directories(folder_ / "deeper/still");
  write("paths.jsonl", caption_row().dump());
  convert("paths.jsonl", "deeper/still/paths.parquet");
  const auto rows =
      load_caption_rows({path("deeper/still/paths.parquet")}, BadRows::kStop, *tokenizer_).rows;
  EXPECT_EQ(std::filesystem::canonical(rows.at(0).image.path),
            std::filesystem::canonical(folder_ / "a.png"));
}

TEST_F(Convert, ImagesAreEmbedded) {
  write("paths.jsonl", caption_row().dump());
  convert("paths.jsonl", "embedded.parquet", {.embed_images = true});
  convert("embedded.parquet", "embedded.jsonl");
  const auto bytes =
      decode_base64(lines("embedded.jsonl").at(0)["image"]["bytes"].get<std::string>(), "x");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
            "not looked at before it is used");
}

TEST_F(Convert, OneFileOfSeveral) {
  write("part1.jsonl", caption_row().dump());
  convert("part1.jsonl", "part2.parquet");
  convert_data({path("part1.jsonl"), path("part*.parquet")}, path("whole.parquet"), {});
  convert("whole.parquet", "whole.jsonl");
  EXPECT_EQ(lines("whole.jsonl"), (std::vector{caption_row(), caption_row()}));
}

TEST_F(Convert, BadRowsStopOrAreCounted) {
  json other_type = caption_row();
  other_type["id"] = 8;
  write("bad.jsonl",
        caption_row().dump() + "\n{\n" + caption_row().dump() + "\n" + other_type.dump());
  EXPECT_THAT(input_error([&] { convert("bad.jsonl", "bad.parquet"); }),
              HasSubstr(path("bad.jsonl") + ":2: malformed JSON"));
  EXPECT_FALSE(std::filesystem::exists(path("bad.parquet")));
  const auto counts = convert("bad.jsonl", "bad.parquet", {.bad_rows = BadRows::kSkip});
  EXPECT_EQ(counts.rows, 2);
  EXPECT_EQ(counts.skipped, 2);
  write("bad.jsonl", caption_row().dump() + "\n" + other_type.dump());
  EXPECT_EQ(input_error([&] { convert("bad.jsonl", "bad.parquet"); }),
            path("bad.jsonl") +
                ":2: key 'id': expected string as before, got int64; a column has one type");
  write("bad.jsonl", R"({"id": "1", "image": {"bytes": "Zm9"}})");
  EXPECT_THAT(input_error([&] { convert("bad.jsonl", "bad.parquet"); }),
              HasSubstr(path("bad.jsonl") + ":1: image bytes: expected base64"));
  for (const auto& entry : std::filesystem::directory_iterator(folder_))
    EXPECT_FALSE(entry.path().filename().string().starts_with(".bad")) << "left behind";
}

TEST_F(Convert, ConversationsOfLlava) {
  write("llava.jsonl", json_of(R"({"id": "7", "image": "a.png", "conversations": [
      {"from": "human", "value": "What is this?\n<image>"}, {"from": "gpt", "value": "A cat."},
      {"from": "human", "value": "Its colour?"}, {"from": "gpt", "value": "Red."}]})")
                               .dump() +
                           "\n" +
                           json_of(R"({"conversations": [{"from": "system", "value": "Be brief."},
      {"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]})")
                               .dump());
  const ConvertCounts counts = convert("llava.jsonl", "llava.parquet", {.form = RowForm::kLlava});
  EXPECT_EQ(counts.rows, 3);
  convert("llava.parquet", "rows.jsonl");
  const json shown = json_of(R"({"role": "user", "content": [{"type": "image", "image": "a.png"},
                                 {"type": "text", "text": "What is this?"}]})");
  const auto said = [](const char* role, const char* text) {
    return json{{"role", role}, {"content", {{{"type", "text"}, {"text", text}}}}};
  };
  EXPECT_EQ(lines("rows.jsonl"),
            (std::vector<json>{
                {{"id", "7"}, {"messages", {shown}}, {"response", "A cat."}},
                {{"id", "7#1"},
                 {"messages", {shown, said("assistant", "A cat."), said("user", "Its colour?")}},
                 {"response", "Red."}},
                {{"messages", {said("system", "Be brief."), said("user", "Hello")}},
                 {"response", "Hi"}}}));
}

/// Every image ends up in the file, wherever it was, and is what training reads.
TEST_F(Convert, ConversationsWithTheirImages) {
  const json row = json_of(R"({"id": "7", "image": "a.png", "conversations": [
      {"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"},
      {"from": "human", "value": "<image>What is this?"}, {"from": "gpt", "value": "A cat."}]})");
  const ConvertOptions made{.form = RowForm::kLlava},
      embedded{.form = RowForm::kLlava, .embed_images = true};
  write("llava.jsonl", row.dump());
  convert("llava.jsonl", "of_path.parquet", embedded);
  convert("llava.jsonl", "of_path.jsonl", embedded);
  convert("llava.jsonl", "llava_bytes.parquet", {.embed_images = true});  // conversations as before
  convert("llava_bytes.parquet", "of_parquet.parquet", made);
  convert("llava_bytes.parquet", "llava_bytes.jsonl");
  convert("llava_bytes.jsonl", "of_bytes.parquet", made);
  for (const char* name :
       {"of_path.parquet", "of_path.jsonl", "of_parquet.parquet", "of_bytes.parquet"}) {
    SCOPED_TRACE(name);
    const auto rows = load_sft_rows({path(name)}, BadRows::kStop, *tokenizer_).rows;
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_TRUE(rows[0].images.empty());
    ASSERT_EQ(rows[1].images.size(), 1u);
    EXPECT_TRUE(rows[1].images[0].path.empty());
    const SharedBytes content = file_content(rows[1].images[0]);
    EXPECT_EQ(
        std::string(reinterpret_cast<const char*>(content.bytes.data()), content.bytes.size()),
        "not looked at before it is used");
  }
}

TEST_F(Convert, ConversationsThatAreNone) {
  const auto refused = [](const std::string& turns, const char* image = "null") {
    write("bad.jsonl",
          R"({"image": )" + std::string(image) + R"(, "conversations": )" + turns + "}");
    return message_of<InputError>(
        [] { convert("bad.jsonl", "bad_rows.jsonl", {.form = RowForm::kLlava}); });
  };
  const std::string ask = R"({"from": "human", "value": "?"})",
                    see = R"({"from": "human", "value": "<image>"})",
                    tell = R"({"from": "gpt", "value": "!"})";
  EXPECT_THAT(refused("[" + tell + "]"),
              HasSubstr("bad.jsonl:1: conversations: an answer without a question"));
  EXPECT_THAT(refused("[" + ask + "," + ask + "]"), HasSubstr("two questions"));
  EXPECT_THAT(refused("[" + ask + "," + tell + "," + ask + "]"), HasSubstr("has no answer"));
  EXPECT_THAT(refused("[" + see + "," + tell + "]"),
              HasSubstr("<image> in a row without an image"));
  EXPECT_THAT(refused("[" + ask + "," + tell + "]", R"("a.png")"),
              HasSubstr("no question has the row's image"));
  EXPECT_THAT(refused("[" + see + "," + tell + "," + see + "," + tell + "]", R"("a.png")"),
              HasSubstr("more than once"));
  EXPECT_THAT(refused("[]"), HasSubstr("there is no answer"));
  EXPECT_THAT(refused(R"([{"from": "cat", "value": "?"}])"), HasSubstr("got 'cat'"));
  EXPECT_FALSE(std::filesystem::exists(path("bad_rows.jsonl")));
}

TEST_F(Convert, CaptionsOfImages) {
  write("captions.jsonl", json_of(R"({"index": 4, "id": "7", "image": "a.png", "captions": [
      {"text": "A cat.", "num_tokens": 3, "finish_reason": "stop"},
      {"text": "A red cat.", "num_tokens": 4, "finish_reason": "stop"}]})")
                                  .dump() +
                              "\n" +
                              R"({"index": 5, "image": {"path": "a.png"}, "caption": "A dog."})");
  std::filesystem::create_directories(folder_ / "below");
  const ConvertOptions options{.form = RowForm::kCaptions, .caption_prompt = "What is this?"};
  EXPECT_EQ(convert("captions.jsonl", "below/rows.jsonl", options).rows, 3);
  const json asked = json_of(R"([{"role": "user", "content": [
      {"type": "image", "image": "../a.png"}, {"type": "text", "text": "What is this?"}]}])");
  EXPECT_EQ(lines("below/rows.jsonl"),
            (std::vector<json>{{{"id", "7"}, {"messages", asked}, {"response", "A cat."}},
                               {{"id", "7#1"}, {"messages", asked}, {"response", "A red cat."}},
                               {{"messages", asked}, {"response", "A dog."}}}));
  const auto rows = load_sft_rows({path("below/rows.jsonl")}, BadRows::kStop, *tokenizer_).rows;
  EXPECT_EQ(std::filesystem::canonical(rows.at(2).images.at(0).path),
            std::filesystem::canonical(folder_ / "a.png"));
}

TEST_F(Convert, CaptionsThatAreNone) {
  const auto refused = [](const std::string& row) {
    write("bad.jsonl", row);
    return message_of<InputError>(
        [] { convert("bad.jsonl", "bad_rows.jsonl", {.form = RowForm::kCaptions}); });
  };
  EXPECT_THAT(refused(R"({"image": null, "caption": "A cat."})"),
              HasSubstr("bad.jsonl:1: expected a text 'image'"));
  EXPECT_THAT(refused(R"({"image": "", "caption": "A cat."})"), HasSubstr("the path is empty"));
  EXPECT_THAT(refused(R"({"image": "a.png"})"), HasSubstr("expected a text 'caption'"));
  EXPECT_THAT(refused(R"({"image": "a.png", "caption": ""})"), HasSubstr("caption 1 is empty"));
  EXPECT_THAT(refused(R"({"image": "a.png", "captions": []})"), HasSubstr("a list of captions"));
  EXPECT_THAT(
      refused(R"({"image": "a.png", "captions": [{"text": "A", "finish_reason": "length"}]})"),
      HasSubstr("caption 1 was cut off"));
  EXPECT_FALSE(std::filesystem::exists(path("bad_rows.jsonl")));
}

TEST(RowTypes, WhatIsOfBothTypes) {
  const auto merged = [](const char* one, const char* other) {
    return describe(
        merge_types(type_of(json_of(one), "k"), type_of(json_of(other), "k"), "k", "F:2"));
  };
  EXPECT_EQ(merged("1", "2.5"), "double");
  EXPECT_EQ(merged("null", "true"), "bool");
  EXPECT_EQ(merged("[]", "[[1]]"), "list<list<int64>>");
  EXPECT_EQ(merged(R"({"a": null})", R"({"a": "x", "b": [2]})"),
            "struct<a: string, b: list<int64>>");
  EXPECT_EQ(merged("18446744073709551615", "18446744073709551614"), "uint64");
  EXPECT_EQ(input_error([&] { merged(R"({"a": [1]})", R"({"a": ["x"]})"); }),
            "F:2: key 'k.a': expected int64 as before, got string; a column has one type");
}

}  // namespace
}  // namespace caprl
