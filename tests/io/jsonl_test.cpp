#include "caprl/io/jsonl.h"

#include <zstd.h>

#include <limits>
#include <string>
#include <vector>

#include "caprl/io/json.h"
#include "support.h"

namespace caprl {
namespace {

using namespace test;
using nlohmann::json;
using testing::ElementsAre;
using Numbered = std::pair<int64_t, json>;

std::vector<Numbered> read_all(const std::filesystem::path& path) {
  std::vector<Numbered> lines;
  JsonlReader reader(path);
  while (auto line = reader.next()) lines.emplace_back(line->number, std::move(line->value));
  return lines;
}

TEST(Json, ParsesEveryKindOfValue) {
  const char* text =
      R"( {"a": [1, -2, 0.1, 18446744073709551615, true, false, null],
           "b": {"a": {}, "text": "é\u00e9\ud83d\ude00"}, "c": []} )";
  EXPECT_EQ(parse_json(text, "x"), json::parse(text));
  EXPECT_EQ(parse_json("7", "x"), json(7));
}

TEST(Json, RefusesBadText) {
  const auto refuses = [](const std::string& text, const std::string& words) {
    SCOPED_TRACE(text);
    expect_error<InputError>([&] { parse_json(text, "F:3"); }, {"F:3: " + words});
  };
  refuses("", "malformed JSON: the text is empty");
  refuses(" \n", "malformed JSON: the text is empty");
  refuses("{\"a\": 1",
          "malformed JSON: syntax error while parsing object - unexpected end of input; expected "
          "'}' at byte 8");
  refuses("[1,]", "malformed JSON: syntax error while parsing value - unexpected ']'");
  refuses("{} {}",
          "malformed JSON: syntax error while parsing value - unexpected '{'; expected end of "
          "input at byte 4");
  refuses("\"\xc3\x28\"",
          "malformed JSON: syntax error while parsing value - invalid string: ill-formed UTF-8 "
          "byte at byte 3");
  refuses("[1e999]", "malformed JSON: number overflow parsing '1e999'");
  refuses("NaN", "malformed JSON");
  refuses("{\"a\": {\"b\": 1, \"b\": 1}}", "key \"b\" occurs twice in one object");
  refuses("{\"a\": 1, \"\\u0061\": 1}", "key \"a\" occurs twice in one object");
  refuses(std::string(100'000, '['), "JSON is nested deeper than 256 levels");
  refuses("{\n\n  \"a\" 1}",
          "malformed JSON: syntax error while parsing object separator - unexpected number "
          "literal; expected ':' at line 3, column 7");
}

TEST(Json, DepthLimitIsExact) {
  EXPECT_NO_THROW(parse_json(std::string(256, '[') + std::string(256, ']'), "x"));
  EXPECT_THROW(parse_json(std::string(257, '[') + std::string(257, ']'), "x"), InputError);
}

TEST(Json, ErrorsStayShort) {
  try {
    parse_json("{\"image\": \"" + std::string(1'000'000, 'A') + "\x01\"}", "F:1");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_LT(std::string(error.what()).size(), 300u);
    EXPECT_THAT(error.what(), testing::HasSubstr("at byte 1000012"));
  }
}

TEST(Jsonl, NumbersLinesAndPassesOverBlankOnes) {
  const TempFolder folder;
  write_text(folder / "a", "\n{\"a\": 1}\r\n \t\n\n[2]\n3");
  EXPECT_THAT(read_all(folder / "a"),
              ElementsAre(Numbered(2, {{"a", 1}}), Numbered(5, json::array({2})), Numbered(6, 3)));
}

TEST(Jsonl, GoesOnAfterABadLine) {
  const TempFolder folder;
  const std::filesystem::path path = folder / "a";
  write_text(path, "1\n{\"a\": 1, \"a\": 2}\n{oops\n\"\xff\"\n5\n");
  JsonlReader reader(path);
  EXPECT_EQ(reader.next()->value, 1);
  expect_error<InputError>([&] { reader.next(); },
                           {path.string() + ":2: key \"a\" occurs twice in one object"});
  expect_error<InputError>([&] { reader.next(); }, {path.string() + ":3: malformed JSON"});
  expect_error<InputError>([&] { reader.next(); },
                           {path.string() + ":4: malformed JSON", "ill-formed UTF-8"});
  const auto last = reader.next();
  EXPECT_EQ(last->number, 5);
  EXPECT_EQ(last->value, 5);
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.next());
}

TEST(Jsonl, RefusesFilesWithoutValues) {
  const TempFolder folder;
  for (const char* content : {"", "\n", " \n\t\r\n"}) {
    write_text(folder / "a", content);
    expect_error<InputError>([&] { read_all(folder / "a"); },
                             {folder / "a", "expected lines of JSON, got none"});
  }
  expect_error<InputError>([&] { read_all(folder / "absent"); },
                           {folder / "absent", "No such file or directory"});
  expect_error<InputError>([&] { read_all(folder.path()); }, {folder.path(), "Is a directory"});
}

TEST(Jsonl, LimitsLinesAndGoesOn) {
  const TempFolder folder;
  const auto path = folder / "a";
  // Longer than one read of the file, exactly the limit, one byte more, and at the end of the file.
  write_text(path, "[" + std::string(3'000'000, ' ') + "]\n[" + std::string(98, ' ') + "]\n[" +
                       std::string(99, ' ') + "]\n7\n[" + std::string(2'500'000, ' ') + "]");
  JsonlReader reader(path, 100);
  const std::string words = "expected a line of at most 100 bytes, got a longer one";
  expect_error<InputError>([&] { reader.next(); }, {path.string() + ":1: " + words});
  EXPECT_EQ(reader.next()->number, 2);
  expect_error<InputError>([&] { reader.next(); }, {path.string() + ":3: " + words});
  EXPECT_EQ(reader.next()->value, 7);
  expect_error<InputError>([&] { reader.next(); }, {path.string() + ":5: " + words});
  EXPECT_FALSE(reader.next());
}

TEST(Jsonl, ReadsLinesAcrossPieces) {
  const TempFolder folder;
  std::string content;
  for (int i = 0; i < 50'000; ++i)
    content += json({{"i", i}, {"text", std::string(i % 97, 'x')}}).dump() + "\n";
  write_text(folder / "a", content);
  const auto lines = read_all(folder / "a");
  ASSERT_EQ(lines.size(), 50'000u);
  for (int i = 0; i < 50'000; ++i) {
    ASSERT_EQ(lines[i].first, i + 1);
    ASSERT_EQ(lines[i].second["i"], i);
    ASSERT_EQ(lines[i].second["text"], std::string(i % 97, 'x'));
  }
}

TEST(JsonlAppender, AppendsToWhatIsThere) {
  const TempFolder folder;
  const auto path = folder / "a";
  {
    JsonlAppender log(path);
    log.append({{"step", 1}});
    log.append({{"step", 2}});
  }
  JsonlAppender log(path);
  EXPECT_EQ(log.size(), 22);
  log.append({{"step", 3}});
  EXPECT_EQ(read_text(path), "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n");
  expect_error<Error>([&] { JsonlAppender(folder / "absent/a"); },
                      {folder / "absent/a", "cannot open"});
}

TEST(JsonlAppender, CutsOffATornLine) {
  const TempFolder folder;
  for (const std::string& whole :
       {std::string(), std::string("1\n"), std::string(4094, ' ') + "1\n"}) {
    for (const size_t torn : {size_t{0}, size_t{1}, size_t{4096}, size_t{10'000}}) {
      write_text(folder / "a", whole + std::string(torn, 'x'));
      JsonlAppender log(folder / "a");
      EXPECT_EQ(log.size(), static_cast<int64_t>(whole.size()));
      log.append(2);
      EXPECT_EQ(read_text(folder / "a"), whole + "2\n");
    }
  }
}

TEST(JsonlAppender, RefusesTextThatIsNoUtf8) {
  const TempFolder folder;
  JsonlAppender log(folder / "a");
  expect_error<Error>([&] { log.append("\xff"); }, {folder / "a", "invalid UTF-8"});
  EXPECT_EQ(log.size(), 0);
}

TEST(JsonlZst, RoundTrip) {
  const TempFolder folder;
  std::vector<json> lines;
  for (int i = 0; i < 3000; ++i)
    lines.push_back({{"i", i}, {"logprob", -0.1 * i}, {"text", std::string(i, 'a' + i % 26)}});
  const auto path = folder / "rollouts/step_000120.jsonl.zst";
  write_jsonl_zst(path, lines);
  EXPECT_EQ(num_entries(folder / "rollouts"), 1u);
  const auto read = read_all(path);
  ASSERT_EQ(read.size(), lines.size());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(read[i], Numbered(i + 1, lines[i]));

  // The library's one-shot decoder agrees: one frame, with its content and checksum.
  const std::string compressed = read_text(path);
  std::string text;
  for (const json& line : lines) text += line.dump() + "\n";
  std::string decoded(text.size() + 1, '\0');
  decoded.resize(
      ZSTD_decompress(decoded.data(), decoded.size(), compressed.data(), compressed.size()));
  EXPECT_EQ(decoded, text);
}

TEST(JsonlZst, DamageIsNoticed) {
  const TempFolder folder;
  const std::vector<json> lines(100, json{{"a", "some text"}});
  write_jsonl_zst(folder / "a", lines);
  const std::string whole = read_text(folder / "a");
  for (const size_t cut : {size_t{5}, whole.size() / 2, whole.size() - 1}) {
    write_text(folder / "a", whole.substr(0, cut));
    expect_error<InputError>([&] { read_all(folder / "a"); }, {folder / "a", "truncated"});
  }
  std::string flipped = whole;
  flipped[flipped.size() - 1] ^= 1;  // of the checksum
  write_text(folder / "a", flipped);
  expect_error<InputError>([&] { read_all(folder / "a"); }, {folder / "a", "damaged zstd data"});
}

TEST(JsonlZst, FailureLeavesNothing) {
  const TempFolder folder;
  const std::vector<json> lines = {1, "\xff"};
  expect_error<Error>([&] { write_jsonl_zst(folder / "a", lines); },
                      {folder / "a", "invalid UTF-8"});
  EXPECT_EQ(num_entries(folder.path()), 0u);
}

}  // namespace
}  // namespace caprl
