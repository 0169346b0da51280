// What tools/demo --full measures: flaws that are counted, orderings that hold or do not.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "curation.h"
#include "orderings.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl::demo {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Measures : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_ / name).parent_path());
    return folder_.write(name, text);
  }

  TempFolder folder_;
};

TEST_F(Measures, FlawsOfWhatWasKept) {
  const auto flaws =
      write("flaws.jsonl", R"({"id": "1", "questions": [{"question": "a ?", "flaw": "none"}, )"
                           R"({"question": "b ?", "flaw": "told"}, )"
                           R"({"question": "c ?", "flaw": "told"}]})");
  const auto kept = write("kept.jsonl", R"({"id": "1", "reward_model": {"ground_truth": [)"
                                        R"({"question": "a ?"}, {"question": "c ?"}]}})");
  const auto counts = count_flaws(flaws, kept);
  EXPECT_EQ(counts.at("none").written, 1);
  EXPECT_EQ(counts.at("none").kept, 1);
  EXPECT_EQ(counts.at("told").written, 2);
  EXPECT_EQ(counts.at("told").kept, 1);
  write("kept.jsonl", R"({"id": "2", "reward_model": {"ground_truth": [{"question": "a ?"}]}})");
  EXPECT_THAT(input_error([&] { count_flaws(flaws, kept); }),
              HasSubstr("kept.jsonl:1: the question 'a ?' of '2' is not in "));
}

/// An evaluation of items x-0, x-1, … with these scores of their samples.
std::string items(const std::vector<std::pair<std::string, std::vector<double>>>& scores) {
  std::string text;
  for (const auto& [id, samples] : scores) {
    json line = {{"id", id}, {"samples", json::array()}};
    for (const double score : samples) line["samples"].push_back({{"score", score}});
    text += line.dump() + "\n";
  }
  return text;
}

TEST_F(Measures, OrderingsAreMeasuredOverImages) {
  // Differences: image x: 1 - 0 and 0.5 - 0.5; image y: 1 - 0. Mean 2/3.
  write("good/items.jsonl", items({{"x-0", {1, 1}}, {"x-1", {1, 0}}, {"y-0", {1, 1}}}));
  write("bad/items.jsonl", items({{"x-0", {0, 0}}, {"x-1", {0, 1}}, {"y-0", {0, 0}}}));
  const Ordering ordering = measure({"good > bad", folder_ / "good", folder_ / "bad"});
  EXPECT_NEAR(ordering.better, 2.5 / 3, 1e-12);
  EXPECT_NEAR(ordering.worse, 0.5 / 3, 1e-12);
  // By hand: x is off its share by 1 - 2 * 2/3, y by 1 - 2/3; each 1/3.
  EXPECT_NEAR(ordering.standard_error, std::sqrt(2.0 * (2.0 / 9)) / 3, 1e-12);
  EXPECT_TRUE(ordering.holds());
  EXPECT_FALSE(measure({"bad > good", folder_ / "bad", folder_ / "good"}).holds());
  EXPECT_FALSE(measure({"good > good", folder_ / "good", folder_ / "good"}).holds());
  // Better, but by less than its noise.
  write("noisy/items.jsonl", items({{"x-0", {1, 1}}, {"x-1", {1, 1}}, {"y-0", {0, 0}}}));
  const Ordering noisy = measure({"noisy", folder_ / "noisy", folder_ / "bad"});
  EXPECT_GT(noisy.difference(), 0);
  EXPECT_FALSE(noisy.holds());
  const std::string table = ordering_table({ordering, noisy});
  EXPECT_THAT(table, HasSubstr("good > bad  0.833 > 0.167  by +0.667 ± 0.444  holds\n"));
  EXPECT_THAT(table, HasSubstr("  DOES NOT HOLD\n"));
}

TEST_F(Measures, OrderingsNeedTheSameItems) {
  write("one/items.jsonl", items({{"x-0", {1}}, {"y-0", {1}}}));
  write("other/items.jsonl", items({{"x-0", {1}}, {"z-0", {1}}}));
  EXPECT_THAT(input_error([&] {
                measure({"", folder_ / "one", folder_ / "other"});
              }),
              HasSubstr("expected the same items"));
  write("single/items.jsonl", items({{"x-0", {1}}}));
  EXPECT_THAT(input_error([&] {
                measure({"", folder_ / "single", folder_ / "single"});
              }),
              HasSubstr("two images at least"));
  write("other/items.jsonl", R"({"id": "x-0", "error": "no image"})");
  EXPECT_THAT(input_error([&] {
                measure({"", folder_ / "one", folder_ / "other"});
              }),
              HasSubstr("items.jsonl:1: the item 'x-0' has no score"));
}

}  // namespace
}  // namespace caprl::demo
