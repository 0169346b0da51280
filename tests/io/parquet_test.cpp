// Files that pyarrow wrote (tools/golden/make_parquet.py), and what is written here read again.
#include "caprl/io/parquet.h"

#include <algorithm>
#include <array>
#include <thread>

#include "caprl/io/jsonl.h"
#include "support.h"
#include "support/json.h"

namespace caprl {
namespace {

using namespace test;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class Parquet : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_parquet()) GTEST_SKIP() << "this build has no Parquet";
  }

  static std::filesystem::path golden(const std::string& name) {
    return std::filesystem::path(CAPRL_TEST_FILES) / "io" / name;
  }
  static std::shared_ptr<const ParquetFile> open(const std::filesystem::path& path) {
    return std::make_shared<const ParquetFile>(path);
  }
  static std::vector<json> expected(const std::string& name) {
    std::vector<json> rows;
    JsonlReader reader(golden(name));
    while (auto line = reader.next()) rows.push_back(std::move(line->value));
    return rows;
  }
  static std::vector<ParquetRow> read(const std::filesystem::path& path,
                                      const std::vector<std::string>& columns = {},
                                      const std::string& left_out = "") {
    std::vector<ParquetRow> rows;
    ParquetRows reader(open(path), columns, left_out);
    while (auto row = reader.next()) rows.push_back(std::move(*row));
    return rows;
  }
  static std::vector<json> values(const std::vector<ParquetRow>& rows) {
    std::vector<json> values;
    for (const ParquetRow& row : rows) {
      EXPECT_EQ(row.damage, "");
      values.push_back(row.value);
    }
    return values;
  }

  static json text_of(std::span<const std::byte> bytes) {
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  /// A copy of a golden file with one byte changed, at `offset` of the occurrence of `text` with
  /// this number.
  std::filesystem::path damaged(const std::string& name, const std::string& text, int occurrence,
                                size_t offset) {
    std::string content = read_text(golden(name));
    size_t at = content.find(text);
    for (int i = 0; i < occurrence; ++i) at = content.find(text, at + 1);
    EXPECT_NE(at, std::string::npos) << text;
    content[at + offset] ^= 0x20;
    return folder_.write("damaged.parquet", content);
  }

  TempFolder folder_;
};

/// Base64 of a JSON file as bytes of it, by the alphabet.
json from_base64(const std::string& text) {
  static const std::string kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<uint8_t> bytes;
  uint32_t bits = 0, count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(kAlphabet.find(c));
    count += 6;
    if (count >= 8) bytes.push_back(static_cast<uint8_t>(bits >> (count -= 8)));
  }
  return json::binary(bytes);
}

std::vector<json> with_bytes(std::vector<json> rows) {
  for (json& row : rows)
    if (!row["image"]["bytes"].is_null())
      row["image"]["bytes"] = from_base64(row["image"]["bytes"].get<std::string>());
  return rows;
}

/// The same rows, as different writers and settings have them.
constexpr std::array kCaptionFiles = {
    "captions.parquet",       "captions_v2.parquet",  "captions_delta.parquet",
    "checksums.parquet",      "captions_hub.parquet", "captions_delta_length.parquet",
    "captions_large.parquet", "captions_lz4.parquet", "captions_categories.parquet"};

TEST_F(Parquet, RowsAreThoseThatPyarrowWrote) {
  const auto rows = with_bytes(expected("captions.jsonl"));
  for (const char* name : kCaptionFiles) EXPECT_EQ(values(read(golden(name))), rows) << name;
  EXPECT_EQ(values(read(golden("types.parquet"))), expected("types.jsonl"));
  EXPECT_TRUE(read(golden("no_rows.parquet")).empty());
}

TEST_F(Parquet, SomeColumns) {
  auto rows = expected("captions.jsonl");
  for (json& row : rows) {
    row = {{"id", row["id"]}, {"image", row["image"]}};
    row["image"].erase("bytes");
  }
  EXPECT_EQ(values(read(golden("captions.parquet"), {"image", "id", "none"}, "image.bytes")), rows);
}

TEST_F(Parquet, SchemaAndRowGroups) {
  const ParquetFile file(golden("captions.parquet"));
  ASSERT_EQ(file.columns().size(), 5u);
  EXPECT_EQ(describe(file.columns()[1]), "struct<bytes: binary, path: string>");
  EXPECT_EQ(describe(file.columns()[2]), "list<struct<role: string, content: string>>");
  EXPECT_EQ(file.num_rows(), 12);
  ASSERT_EQ(file.row_groups().size(), 3u);
  EXPECT_EQ(file.row_groups()[2].first_row, 10);
  EXPECT_EQ(file.row_groups()[2].num_rows, 2);
  EXPECT_GT(file.row_groups()[0].stored_bytes, 0);
  EXPECT_EQ(file.place(9), golden("captions.parquet").string() + ": row 9 (row group 1)");
}

TEST_F(Parquet, CategoriesAndLargeTypesAreTextsAndLists) {
  for (const char* name : {"captions_categories.parquet", "captions_large.parquet"}) {
    const ParquetFile file(golden(name));
    EXPECT_EQ(file.columns()[0].kind, ColumnType::Kind::kText) << name;
    const ColumnType* bytes = file.columns()[1].find("bytes");
    ASSERT_TRUE(bytes) << name;
    EXPECT_EQ(bytes->kind, ColumnType::Kind::kBytes) << name;
    EXPECT_TRUE(file.columns()[2].find("element")) << name;
  }
  EXPECT_EQ(describe(ParquetFile(golden("captions_categories.parquet")).columns()[3]), "string");
}

TEST_F(Parquet, BytesByRowInAnyOrder) {
  const auto rows = expected("captions.jsonl");
  for (const char* name : kCaptionFiles) {
    SCOPED_TRACE(name);
    // Without a cache, too: every page is decoded anew.
    for (const int64_t cache : {int64_t{0}, ParquetBytes::kDefaultCacheBytes}) {
      const ParquetBytes bytes(open(golden(name)), "image.bytes", cache);
      for (const int64_t row : {11, 3, 0, 7, 4, 4, 8, 10, 1, 2, 6, 5, 9}) {
        const auto value = bytes.read(row);
        const json& image = rows[static_cast<size_t>(row)]["image"]["bytes"];
        ASSERT_EQ(value.has_value(), !image.is_null()) << row;
        if (value)
          EXPECT_EQ(text_of(value->bytes).get<std::string>(),
                    text_of(std::as_bytes(std::span(from_base64(image).get_binary()))))
              << row;
      }
    }
  }
}

TEST_F(Parquet, WhichRowsHaveBytes) {
  for (const char* name : {"captions.parquet", "captions_delta.parquet" /* no statistics */}) {
    const auto file = open(golden(name));
    const ParquetBytes bytes(file, "image.bytes");
    std::vector<bool> present;
    for (size_t g = 0; g < file->row_groups().size(); ++g)
      for (const bool has : bytes.present(static_cast<int64_t>(g))) present.push_back(has);
    ASSERT_EQ(present.size(), 12u);
    for (size_t i = 0; i < 12; ++i) EXPECT_EQ(present[i], i % 4 != 3) << name << i;
  }
}

TEST_F(Parquet, BytesAreThoseOfTheirRowWhateverTheThreads) {
  const auto rows = expected("captions.jsonl");
  const ParquetBytes bytes(open(golden("captions_v2.parquet")), "image.bytes", 60);
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < 2000; ++i) {
        const int64_t row = (i * (2 * t + 1) + t) % 12;
        const auto value = bytes.read(row);
        const json& image = rows[static_cast<size_t>(row)]["image"]["bytes"];
        if (value ? image.is_null() || from_base64(image).get_binary().size() != value->bytes.size()
                  : !image.is_null())
          ++wrong[static_cast<size_t>(t)];
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

TEST_F(Parquet, BytesOutliveTheirReader) {
  std::optional<SharedBytes> value;
  {
    const ParquetBytes bytes(open(golden("captions_v2.parquet")), "image.bytes", 0);
    value = bytes.read(4);
  }
  EXPECT_EQ(text_of(value->bytes), "same");
}

TEST_F(Parquet, ADamagedPageCostsTheRestOfItsRowGroup) {
  const auto file = damaged("checksums.parquet", "row-5", 0, 2);
  const auto rows = read(file);
  ASSERT_EQ(rows.size(), 9u);  // 4 rows, 4 that are one, 4 rows
  EXPECT_EQ(rows[3].value["id"], "row-3");
  EXPECT_EQ(rows[4].index, 4);
  EXPECT_EQ(rows[4].count, 4);
  EXPECT_THAT(rows[4].damage,
              HasSubstr(file.string() + ": rows 4 to 7 (row group 1): column 'id'"));
  EXPECT_EQ(rows[5].index, 8);
  EXPECT_EQ(rows[5].value["id"], "row-8");
  int64_t count = 0;
  for (const ParquetRow& row : rows) count += row.count;
  EXPECT_EQ(count, 12);
}

TEST_F(Parquet, ADamagedPageOfBytesIsFoundWhenItIsUsed) {
  const auto file = damaged("checksums.parquet", "same", 1, 0);  // row 9
  const ParquetBytes bytes(open(file), "image.bytes");
  EXPECT_TRUE(bytes.read(4));
  for (int i = 0; i < 2; ++i)  // again
    EXPECT_THAT(input_error([&] { bytes.read(9); }),
                HasSubstr(file.string() + ": row 9 (row group 2): column 'image.bytes': "));
}

TEST_F(Parquet, TextThatIsNoUtf8) {
  const auto rows = read(golden("not_utf8.parquet"));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].value["id"], "ok");
  EXPECT_EQ(rows[1].damage, golden("not_utf8.parquet").string() +
                                ": row 1 (row group 0): column 'id': expected UTF-8, got 2 bytes "
                                "that are none");
  EXPECT_EQ(rows[2].value["id"], "ok");
}

TEST_F(Parquet, FilesThatAreNone) {
  const std::string whole = read_text(golden("captions.parquet"));
  const auto refused = [&](const std::string& content) {
    const auto path = folder_.write("x.parquet", content);
    const std::string message = input_error([&] { open(path); });
    EXPECT_THAT(message, HasSubstr(path.string() + ": "));
    EXPECT_EQ(message.find('\n'), std::string::npos);
  };
  refused("");
  refused("{\"id\": 1}\n");
  refused("PAR1");
  refused(whole.substr(0, whole.size() - 5));
  std::string footer = whole;
  footer[whole.size() - 100] ^= 0x55;
  footer[whole.size() - 2000] ^= 0x55;
  refused(whole.substr(0, 4) + whole.substr(whole.size() / 2));
  EXPECT_THAT(input_error([&] { open(folder_ / "none.parquet"); }), HasSubstr("none.parquet"));
  EXPECT_FALSE(is_parquet(folder_.write("a.jsonl", "{}")));
  EXPECT_TRUE(is_parquet(golden("captions.parquet")));
}

/// Every byte that is changed gives an error or rows, in number those of the file; never a crash.
TEST_F(Parquet, AnyByteMayBeWrong) {
  const std::string whole = read_text(golden("captions.parquet"));
  for (size_t at = 0; at < whole.size(); at += 13) {
    std::string content = whole;
    content[at] = static_cast<char>(content[at] ^ (1 << at % 8));
    const auto path = folder_.write("x.parquet", content);
    try {
      const auto file = open(path);
      ParquetRows rows(file, {}, "image.bytes");
      int64_t count = 0;
      while (const auto row = rows.next()) count += row->count;
      EXPECT_EQ(count, file->num_rows()) << at;
      const ParquetBytes bytes(file, "image.bytes");
      for (int64_t i = 0; i < count; ++i) bytes.read(i);
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), HasSubstr("x.parquet")) << at;
    }
  }
}

TEST_F(Parquet, ColumnsThatAreNone) {
  const auto file = open(golden("captions.parquet"));
  EXPECT_THAT(input_error([&] { ParquetBytes(file, "image.pixels"); }),
              HasSubstr("has no column 'image.pixels'"));
  EXPECT_THAT(input_error([&] { ParquetBytes(open(golden("types.parquet")), "i64"); }),
              HasSubstr("column 'i64': expected bytes, one value a row, got INT64"));
  EXPECT_THAT(input_error([&] { ParquetBytes(file, "prompt.list.element.role"); }),
              HasSubstr("expected bytes, one value a row"));
  EXPECT_EQ(
      input_error([&] { read(golden("timestamp.parquet")); }),
      golden("timestamp.parquet").string() + ": column 'when': timestamp[ms] has no JSON form");
  EXPECT_EQ(values(read(golden("timestamp.parquet"), {"id"})),
            std::vector{json_of(R"({"id":"a"})")});
}

TEST_F(Parquet, WhatIsWrittenIsReadAgain) {
  for (const auto& [name, rows] :
       {std::pair("captions.parquet", with_bytes(expected("captions.jsonl"))),
        std::pair("types.parquet", expected("types.jsonl"))}) {
    SCOPED_TRACE(name);
    const auto path = folder_ / name;
    ParquetWriter writer(path, ParquetFile(golden(name)).columns(), {200, 64});
    for (const json& row : rows) writer.append(row, "x");
    EXPECT_FALSE(std::filesystem::exists(path));
    writer.commit();
    EXPECT_EQ(values(read(path)), rows);
    const ParquetFile again(path);
    EXPECT_GE(again.row_groups().size(), rows.size() / 4);
    std::vector<std::string> types, types_again;
    const ParquetFile original(golden(name));
    for (const ColumnType& column : original.columns())
      types.push_back(column.name + describe(column));
    for (const ColumnType& column : again.columns())
      types_again.push_back(column.name + describe(column));
    std::ranges::replace(types, "long_listlarge_list<int32>", "long_listlist<int32>");
    EXPECT_EQ(types_again, types);
  }
}

TEST_F(Parquet, PagesOfAWrittenFileHaveChecksums) {
  const auto path = folder_ / "x.parquet";
  ColumnType image{ColumnType::Kind::kStruct, "image", "struct", {}};
  image.parts.push_back({ColumnType::Kind::kBytes, "bytes", "binary", {}});
  ParquetWriter writer(path, {image});
  const std::string needle = "the bytes of an image";
  writer.append({{"image", {{"bytes", json::binary({needle.begin(), needle.end()})}}}}, "x");
  writer.commit();
  std::string content = read_text(path);
  ASSERT_NE(content.find(needle), std::string::npos) << "images are not compressed again";
  content[content.find(needle)] ^= 1;
  const ParquetBytes bytes(open(folder_.write("y.parquet", content)), "image.bytes");
  EXPECT_THAT(input_error([&] { bytes.read(0); }), HasSubstr("row 0 (row group 0): column"));
}

TEST_F(Parquet, RowsThatDoNotFit) {
  const std::vector<ColumnType> columns = {{ColumnType::Kind::kInteger, "n", "int8", {}},
                                           {ColumnType::Kind::kText, "t", "string", {}},
                                           {ColumnType::Kind::kFloat, "f", "double", {}}};
  {
    ParquetWriter writer(folder_ / "x.parquet", columns);
    const auto refused = [&](const char* row) {
      return input_error([&] { writer.append(json_of(row), "F:3"); });
    };
    EXPECT_EQ(refused("[]"), "F:3: expected an object, got array");
    EXPECT_EQ(refused(R"({"n": "1"})"), "F:3: key 'n': expected int8, got string");
    EXPECT_EQ(refused(R"({"n": 128})"), "F:3: key 'n': 128 is beyond int8");
    EXPECT_EQ(refused(R"({"f": 9007199254740993})"),
              "F:3: key 'f': 9007199254740993 is beyond double");
    EXPECT_EQ(refused(R"({"t": "x", "u": 1})"), "F:3: key 'u' is no column of the file");
    writer.append(json_of(R"({"n": -128, "f": 3})"), "F:4");
    EXPECT_FALSE(std::filesystem::exists(folder_ / "x.parquet"));
    writer.commit();
  }
  EXPECT_EQ(values(read(folder_ / "x.parquet")),
            std::vector{json_of(R"({"n": -128, "t": null, "f": 3.0})")});
  {
    ParquetWriter given_up(folder_ / "y.parquet", columns);
    given_up.append(json_of(R"({"n": 1})"), "F:1");
  }
  EXPECT_EQ(num_entries(folder_.path()), 1u);  // x alone
  EXPECT_THAT(input_error([&] {
                ParquetWriter(folder_ / "z.parquet",
                              {{ColumnType::Kind::kOther, "when", "timestamp[ms]", {}}});
              }),
              HasSubstr("column 'row.when': cannot write the type timestamp[ms]"));
}

TEST(NoParquet, SaysWhatToDo) {
  if (has_parquet()) GTEST_SKIP() << "this build has Parquet";
  EXPECT_THAT(input_error([] { ParquetFile("x.parquet"); }),
              HasSubstr("x.parquet: this build of caprl has no Parquet; run tools/setup"));
}

}  // namespace
}  // namespace caprl
