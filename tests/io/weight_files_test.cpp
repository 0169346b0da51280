#include "caprl/io/weight_files.h"

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

#include "support.h"
#include "support/json.h"

namespace caprl {
namespace {

using namespace test;
namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;

const NamedTensors kWeights = {{"c", at::full({4}, 3.f)},            // 16 bytes
                               {"a", at::full({2, 2}, 1.f)},         // 16 bytes
                               {"b", at::full({10}, 2.f)},           // 40 bytes
                               {"d", at::full({1}, 4, at::kLong)}};  // 8 bytes

void expect_weights(const WeightFiles& files) {
  EXPECT_THAT(files.names(), ElementsAre("a", "b", "c", "d"));
  for (const auto& [name, tensor] : kWeights) {
    EXPECT_TRUE(files.contains(name));
    EXPECT_TRUE(at::equal(files.tensor(name), tensor)) << name;
    EXPECT_EQ(files.dtype(name), tensor.scalar_type());
    EXPECT_EQ(files.shape(name), tensor.sizes().vec());
  }
}

TEST(WeightFiles, OneFile) {
  const TempFolder folder;
  write_sharded_safetensors(folder / "model", kWeights);
  EXPECT_EQ(num_entries(folder / "model"), 1u);
  const WeightFiles files = WeightFiles::open(folder / "model");
  expect_weights(files);
  EXPECT_EQ(files.file("a").path(), folder / "model/model.safetensors");
  EXPECT_FALSE(files.contains("e"));
  expect_error<InputError>([&] { files.tensor("e"); }, {folder / "model", "no tensor named \"e\""});
  expect_error<InputError>([&] { files.shape("e"); }, {"no tensor named \"e\""});
}

TEST(WeightFiles, ShardsAreFilledInOrder) {
  const TempFolder folder;
  write_sharded_safetensors(folder.path(), kWeights, 32);
  const json index = json_of(read_text(folder / "model.safetensors.index.json"));
  EXPECT_EQ(index, json_of(R"({"metadata": {"total_size": 80}, "weight_map": {
      "a": "model-00001-of-00003.safetensors", "b": "model-00002-of-00003.safetensors",
      "c": "model-00001-of-00003.safetensors", "d": "model-00003-of-00003.safetensors"}})"));
  EXPECT_EQ(num_entries(folder.path()), 4u);
  EXPECT_EQ(SafetensorsFile(folder / "model-00003-of-00003.safetensors").metadata(),
            kTorchMetadata);
  const WeightFiles files = WeightFiles::open(folder.path());
  expect_weights(files);
  EXPECT_EQ(files.file("b").path().filename(), "model-00002-of-00003.safetensors");
}

TEST(WeightFiles, ExactlyTheLimitIsOneFile) {
  const TempFolder folder;
  write_sharded_safetensors(folder.path(), kWeights, 80);
  EXPECT_TRUE(fs::exists(folder / "model.safetensors"));
  EXPECT_EQ(num_entries(folder.path()), 1u);
}

TEST(WeightFiles, NeverMixesWithOlderWeights) {
  for (const char* older :
       {"model.safetensors", "model.safetensors.index.json", "model-00001-of-00009.safetensors"}) {
    const TempFolder folder;
    write_text(folder / "config.json", "{}");
    write_text(folder / older, "old");
    expect_error<InputError>([&] { write_sharded_safetensors(folder.path(), kWeights, 32); },
                             {folder / older, "already holds weights"});
    EXPECT_EQ(num_entries(folder.path()), 2u);
  }
}

TEST(WeightFiles, FailedExportLeavesNothing) {
  const TempFolder folder;
  NamedTensors twice = kWeights;
  twice.emplace_back("c", at::ones({20}));
  expect_error<Error>([&] { write_sharded_safetensors(folder.path(), twice, 32); },
                      {"tensor \"c\" is given twice"});
  EXPECT_EQ(num_entries(folder.path()), 0u);
}

class BadIndex : public testing::Test {
 protected:
  BadIndex() {
    write_safetensors(folder_ / "one.safetensors", {{"a", at::ones({1})}, {"b", at::ones({1})}});
    write_safetensors(folder_ / "two.safetensors", {{"c", at::ones({1})}});
  }
  void refuses(const std::string& index, std::initializer_list<std::string> words) {
    write_text(folder_ / "model.safetensors.index.json", index);
    SCOPED_TRACE(index);
    expect_error<InputError>([&] { WeightFiles::open(folder_.path()); },
                             {folder_ / "model.safetensors.index.json"});
    expect_error<InputError>([&] { WeightFiles::open(folder_.path()); }, words);
  }
  TempFolder folder_;
};

TEST_F(BadIndex, IsRefused) {
  refuses("", {"malformed JSON"});
  refuses("{\n\"weight_map\": x}", {"malformed JSON", "at line 2, column 15"});
  refuses("[]", {"\"weight_map\": expected an object of tensor names and files"});
  refuses("{}", {"\"weight_map\": expected an object"});
  refuses(R"({"weight_map": ["one.safetensors"]})", {"\"weight_map\": expected an object"});
  refuses(R"({"weight_map": {}})", {"\"weight_map\": expected an object"});
  refuses(R"({"weight_map": {"a": 1}})", {"tensor \"a\": expected a file name, got 1"});
  refuses(R"({"weight_map": {"a": "one.safetensors", "a": "two.safetensors"}})",
          {"key \"a\" occurs twice"});
  refuses(R"({"weight_map": {"a": "../one.safetensors"}})",
          {"tensor \"a\": expected a file in the same folder"});
  refuses(R"({"weight_map": {"a": "x/../../one.safetensors"}})",
          {"expected a file in the same folder"});
  refuses(R"({"weight_map": {"a": "/one.safetensors"}})", {"expected a file in the same folder"});
  refuses(R"({"weight_map": {"a": ""}})", {"expected a file in the same folder"});
  refuses(R"({"weight_map": {"a": "one.safetensors", "c": "three.safetensors"}})",
          {"tensor \"c\": there is no file", "three.safetensors"});
  refuses(
      R"({"weight_map": {"a": "one.safetensors", "b": "one.safetensors", "e": "two.safetensors"}})",
      {"tensor \"e\" is not in two.safetensors"});
  refuses(R"({"weight_map": {"a": "one.safetensors"}})",
          {"tensor \"b\" of one.safetensors is not in the index"});
  write_safetensors(folder_ / "two.safetensors", {{"a", at::ones({1})}, {"c", at::ones({1})}});
  refuses(
      R"({"weight_map": {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}})",
      {"tensor \"a\" is in two shards, one.safetensors and two.safetensors"});
}

TEST_F(BadIndex, DamagedShardIsNamed) {
  write_text(folder_ / "model.safetensors.index.json",
             R"({"weight_map": {"c": "two.safetensors"}})");
  write_text(folder_ / "two.safetensors", "");
  expect_error<InputError>([&] { WeightFiles::open(folder_.path()); },
                           {folder_ / "two.safetensors", "is empty"});
}

TEST(WeightFiles, RefusesFoldersWithoutWeights) {
  const TempFolder folder;
  expect_error<InputError>(
      [&] { WeightFiles::open(folder.path()); },
      {folder.path(), "no weights: expected model.safetensors or model.safetensors.index.json"});
  expect_error<InputError>([&] { WeightFiles::open(folder / "absent"); },
                           {folder / "absent", "expected a model directory, got nothing"});
  write_text(folder / "file", "x");
  expect_error<InputError>([&] { WeightFiles::open(folder / "file"); },
                           {"expected a model directory, got a file"});
}

}  // namespace
}  // namespace caprl
