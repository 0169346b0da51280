// Data files that are one JSON array.
#include "data/json_array.h"

#include "caprl/data/convert.h"
#include "caprl/io/jsonl.h"
#include "support.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class JsonArray : public DataFiles {
 protected:
  static std::vector<json> rows(const std::string& text) {
    write("rows.json", text);
    std::vector<json> all;
    const auto reader = DataReader::open(path("rows.json"), RowKind::kAny);
    while (reader->next()) all.push_back(reader->row());
    return all;
  }
  static std::string refused(const std::string& text) {
    return message_of<InputError>([&] { rows(text); });
  }
};

TEST_F(JsonArray, GivesItsElements) {
  const std::vector<json> expected = {
      {{"a", "],}\"\\"}, {"b", {1, {{"c", json::array()}}}}}, json::object(), {{"text", "图"}}};
  EXPECT_EQ(rows(json(expected).dump()), expected);
  EXPECT_EQ(rows("\n " + json(expected).dump(2) + "\n\n"), expected);
}

TEST_F(JsonArray, ElementsMayBeLongerThanWhatIsReadAtATime) {
  std::vector<json> expected;
  for (int i = 0; i < 5; ++i)
    expected.push_back({{"id", i}, {"text", std::string(700'000, static_cast<char>('a' + i))}});
  EXPECT_EQ(rows(json(expected).dump(1)), expected);
}

TEST_F(JsonArray, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(refused("[]"), HasSubstr("rows.json: expected rows, got none"));
  EXPECT_THAT(refused(R"([{"a": 1}, {"b": )"),
              HasSubstr("rows.json: row 1: expected a JSON array"));
  EXPECT_THAT(refused(R"([{"a": 1}, {"b": "x)"), HasSubstr("the end of the file"));
  EXPECT_THAT(refused(R"([{"a": 1}] x)"), HasSubstr("more behind the array"));
  EXPECT_THAT(refused(R"([{"a": 1}, {"a": 1, "a": 2}])"), HasSubstr("rows.json: row 1"));
  EXPECT_THAT(refused(R"([{"a": 1},])"), HasSubstr("rows.json: row 1"));
  EXPECT_THAT(refused(R"([{"a": 1} {"b": 2}])"), HasSubstr("rows.json: row 0"));
}

TEST_F(JsonArray, ConversationsOfLlavaAreConverted) {
  write(
      "llava.json",
      R"([{"id": 1, "conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": "!"}]}])");
  convert_data({path("llava.json")}, path("rows.jsonl"), {.form = RowForm::kLlava});
  const auto line = JsonlReader(path("rows.jsonl")).next();
  ASSERT_TRUE(line);
  EXPECT_EQ(line->value.at("response"), "!");
}

}  // namespace
}  // namespace caprl
