// What bulk tasks go through, in little memory.
#include "tasks/inputs/inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <random>
#include <set>

#include "caprl/core/files.h"
#include "caprl/text/word_tokenizer.h"
#include "support/errors.h"
#include "support/temp_folder.h"
#include "tasks/inputs/duplicates.h"
#include "tasks/inputs/path_sorter.h"
#include "tasks/records.h"

namespace caprl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

class InputsOf : public testing::Test {
 protected:
  fs::path path(const std::string& name) const { return folder_.path() / name; }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories(path(name).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
  }
  InputSpec spec() const {
    write_word_tokenizer(folder_.path(), {.words = {"red"}, .images = true, .default_system = {}});
    InputSpec spec;
    spec.tokenizer = Tokenizer::load(folder_.path());
    spec.prompt = image_prompt("red", *spec.tokenizer, "data.prompt");
    spec.bad_rows = BadRows::kSkip;
    return spec;
  }
  /// "0 ID", "1 !ERROR" of the wanted items.
  static std::vector<std::string> items(const Inputs& inputs,
                                        const std::function<bool(int64_t)>& wanted) {
    InputStream stream(inputs);
    std::vector<std::string> all;
    while (const auto item = stream.next(wanted))
      all.push_back(fmt::format("{} {}", item->index,
                                item->error.empty() ? item->row.id : "!" + item->error));
    return all;
  }
  static bool any(int64_t) { return true; }
  TempFolder folder_;
};

TEST_F(InputsOf, RowsAndImagesHaveNumbersOfTheirOwn) {
  write("a.png", "x");
  write("rows.jsonl", R"({"id": "one", "image": "a.png"})"
                      "\nnonsense\n"
                      R"({"id": "two", "image": "none.png"})"
                      "\n"
                      R"({"id": "one", "image": "a.png"})"
                      "\n"
                      R"({"image": "a.png"})"
                      "\n");
  write("images/b.png", "y");
  write("images/a.jpg", "x");
  write("images/below/c.JPEG", "z");
  write("images/notes.txt", "no image");
  InputSpec s = spec();
  s.files = {path("rows.jsonl").string()};
  s.images = {path("images").string(), path("images/*.png").string(), path("a.png").string()};
  fs::create_directory(path("run"));
  const Inputs inputs(s, path("run"), "manifest");
  const auto all = items(inputs, any);
  ASSERT_EQ(all.size(), 10u);
  EXPECT_EQ(all[0], "0 one");
  EXPECT_THAT(all[1], testing::AllOf(HasSubstr("1 !"), HasSubstr("rows.jsonl:2: malformed JSON")));
  EXPECT_THAT(all[2], testing::AllOf(HasSubstr("2 !"), HasSubstr("rows.jsonl:3: image")));
  EXPECT_EQ(all[3], "3 one");
  EXPECT_THAT(all[4], HasSubstr("4 " + path("rows.jsonl:5").string()));
  EXPECT_EQ(all[5], "5 " + path("images/a.jpg").string());
  EXPECT_EQ(all[6], "6 " + path("images/b.png").string());
  EXPECT_EQ(all[7], "7 " + path("images/below/c.JPEG").string());
  EXPECT_EQ(all[8], "8 " + path("images/b.png").string());
  EXPECT_EQ(all[9], "9 " + path("a.png").string());
  EXPECT_EQ(inputs.size(), 10);
  EXPECT_EQ(inputs.num_duplicates(), 3);  // the id, b.png, and a.png, which row 4 names without one
  for (const int64_t i : {3, 8, 9}) EXPECT_FALSE(inputs.is_distinct(i));
  EXPECT_EQ(items(inputs, [](int64_t i) { return i == 4 || i == 7; }),
            (std::vector<std::string>{all[4], all[7]}));

  // A second process, and a later one, read the manifest; what is new in folders takes no part.
  write("images/new.png", "n");
  const Inputs again(s, path("run"), "manifest");
  EXPECT_EQ(items(again, any), all);
  EXPECT_EQ(again.num_duplicates(), 3);
  write("rows.jsonl", "{}\n");
  EXPECT_THAT(input_error([&] { Inputs(s, path("run"), "manifest"); }),
              HasSubstr("as when the run began"));
}

TEST_F(InputsOf, EqualContentIsFoundOnRequest) {
  for (const char* name : {"images/a.png", "images/b.png", "images/d.png"}) write(name, "the same");
  write("images/c.png", "another");
  InputSpec s = spec();
  s.images = {path("images").string()};
  s.duplicates = DuplicateKey::kContent;
  s.bad_rows = BadRows::kStop;
  fs::create_directory(path("run"));
  const Inputs inputs(s, path("run"), "manifest");
  EXPECT_EQ(inputs.size(), 4);
  EXPECT_TRUE(inputs.is_distinct(0) && inputs.is_distinct(2));
  EXPECT_FALSE(inputs.is_distinct(1) || inputs.is_distinct(3));
}

TEST_F(InputsOf, AScanThatStopsLeavesNothing) {
  write("rows.jsonl", "{\n");
  InputSpec s = spec();
  s.bad_rows = BadRows::kStop;
  s.files = {path("rows.jsonl").string()};
  fs::create_directory(path("run"));
  EXPECT_THAT(input_error([&] { Inputs(s, path("run"), "manifest"); }), HasSubstr("rows.jsonl:1"));
  EXPECT_TRUE(fs::is_empty(path("run")));
}

TEST_F(InputsOf, NamesThatAreNoUtf8AreBadItems) {
  write("images/\xff.png", "x");
  write("images/a.png", "x");
  InputSpec s = spec();
  s.images = {path("images").string()};
  fs::create_directory(path("run"));
  const Inputs inputs(s, path("run"), "manifest");
  const auto all = items(inputs, any);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0], "0 " + path("images/a.png").string());
  EXPECT_THAT(all[1], HasSubstr("\\xff.png: expected a name in UTF-8"));
}

TEST_F(InputsOf, PathsAreSortedByMerging) {
  std::mt19937 random(3);
  std::vector<std::string> expected;
  PathSorter sorter(path("scratch"), 2000);
  for (int i = 0; i < 500; ++i) {
    std::string name = "p" + std::to_string(random() % 10000) + (i % 3 ? "\n" : "");
    expected.push_back(name);
    sorter.add(std::move(name));
  }
  std::sort(expected.begin(), expected.end());
  write("out", std::string("before\0", 7));
  EXPECT_EQ(sorter.append_to(path("out")), 500);
  std::vector<std::string> sorted;
  std::ifstream in(path("out"), std::ios::binary);
  for (std::string name; std::getline(in, name, '\0');) sorted.push_back(name);
  EXPECT_EQ(sorted.front(), "before");
  sorted.erase(sorted.begin());
  EXPECT_EQ(sorted, expected);
  const auto num_runs = std::count_if(
      fs::directory_iterator(folder_.path()), fs::directory_iterator(),
      [](const auto& entry) { return entry.path().filename().string().starts_with(".scratch."); });
  EXPECT_GT(num_runs, 5) << "too little for merging";
}

TEST_F(InputsOf, DuplicatesOfManyKeys) {
  std::mt19937 random(5);
  std::map<std::string, int64_t> first;
  std::set<std::pair<int64_t, int64_t>> expected, found;
  {
    DuplicateFinder finder(path("keys"));
    for (int64_t i = 0; i < 3000; ++i) {
      const std::string key = std::to_string(random() % 2000);
      const auto [place, is_new] = first.emplace(key, i);
      if (!is_new) expected.emplace(i, place->second);
      finder.add(i, key, "place " + std::to_string(i));
    }
    finder.find(
        [&](const Duplicate& duplicate) {
          EXPECT_EQ(duplicate.where, "place " + std::to_string(duplicate.index));
          EXPECT_EQ(duplicate.first_where, "place " + std::to_string(duplicate.first));
          EXPECT_TRUE(found.emplace(duplicate.index, duplicate.first).second);
        },
        200);
  }
  EXPECT_EQ(found, expected);
  EXPECT_FALSE(fs::exists(path("keys")));
}

TEST_F(InputsOf, RecordsOfSeveralProcessesInOrder) {
  write("x-00000-of-00002.jsonl", "{\"index\": 0}\n{\"index\": 4}\n{\"index\": 6}\n");
  write("x-00001-of-00002.jsonl", "{\"index\": 1}\n{\"index\": 5}\n");
  write("x.jsonl", "{\"index\": 2}\n");
  write("xy.jsonl", "{\"index\": 3}\n");
  write("x-00000-of-00003.jsonl", "");
  const auto files = records_files(folder_.path(), "x");
  RecordMerge merge(files, 7);
  std::vector<int64_t> indices;
  while (const auto record = merge.next()) indices.push_back(record->index);
  EXPECT_THAT(indices, ElementsAre(0, 1, 2, 4, 5, 6));
  RecordMerge other(files, 7);
  EXPECT_EQ(other.find(1)->index, 1);
  EXPECT_FALSE(other.find(3));
  EXPECT_EQ(other.find(6)->index, 6);
  EXPECT_THAT(input_error([&] {
                RecordMerge few(files, 6);
                while (few.next()) {
                }
              }),
              HasSubstr("x-00000-of-00002.jsonl:3: item 6 is not in the data"));
  write("x.jsonl", "{\"index\": 2}\n{\"index\": 1}\n");
  EXPECT_THAT(input_error([&] {
                RecordMerge twisted(files, 7);
                while (twisted.next()) {
                }
              }),
              HasSubstr("x.jsonl:2: expected an item after 2, got 1"));
}

}  // namespace
}  // namespace caprl
