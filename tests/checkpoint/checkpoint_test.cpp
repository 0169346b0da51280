#include <nlohmann/json.hpp>

#include "support.h"
#include "support/json.h"

namespace caprl {
namespace {

using namespace test;
namespace fs = std::filesystem;
using Names = std::set<std::string>;

TEST(Checkpoint, RoundTripAndLatest) {
  const MemoryFolder folder;
  const fs::path root = folder / "run/checkpoints";
  EXPECT_FALSE(has_checkpoints(root));
  EXPECT_EQ(find_checkpoint(root), std::nullopt);
  save_sample(root, 7);
  EXPECT_TRUE(has_checkpoints(root));
  EXPECT_EQ(find_checkpoint(root), root / "step_000007");
  expect_sample(root / "step_000007", 7);
  expect_sample(root / "latest", 7);
  EXPECT_EQ(fs::read_symlink(root / "latest"), "step_000007");
  EXPECT_EQ(names_in(root), (Names{"latest", "step_000007"}));
}

TEST(Checkpoint, ManifestListsEveryFile) {
  const MemoryFolder folder;
  save_sample(folder.path(), 3);
  const auto manifest = json_of(slurp(folder / "step_000003/manifest.json"));
  EXPECT_EQ(manifest["step"], 3);
  EXPECT_EQ(manifest["version"], 1);
  ASSERT_EQ(manifest["files"].size(), 3u);
  EXPECT_EQ(manifest["files"]["model/weights"]["size"], 3000);
  // XXH3-128 of no bytes, as published with the algorithm.
  EXPECT_EQ(manifest["files"]["model/empty"]["xxh3_128"], "99aa06d3014798d86001c324468d497f");
}

TEST(Checkpoint, KeepsTheNewestAndOrdersByNumber) {
  const MemoryFolder folder;
  for (const int64_t step : {0, 5, 999'999, 1'000'000, 1'000'001})
    save_sample(folder.path(), step, 3);
  EXPECT_EQ(names_in(folder.path()),
            (Names{"latest", "step_1000001", "step_1000000", "step_999999"}));
  EXPECT_EQ(find_checkpoint(folder.path()), folder / "step_1000001");
  save_sample(folder.path(), 2'000'000, 1);
  EXPECT_EQ(names_in(folder.path()), (Names{"latest", "step_2000000"}));
}

TEST(Checkpoint, RetentionCountsCompleteOnesAndLeavesStrangersAlone) {
  const MemoryFolder folder;
  for (const int64_t step : {1, 2, 3}) save_sample(folder.path(), step, 9);
  fs::remove(folder / "step_000003/state");
  fs::create_directory(folder / "step_x");
  fs::create_directory(folder / "notes");
  save_sample(folder.path(), 4, 2);
  EXPECT_EQ(names_in(folder.path()),
            (Names{"latest", "notes", "step_000002", "step_000003", "step_000004", "step_x"}));
}

TEST(Checkpoint, FindPassesOverIncompleteOnes) {
  const MemoryFolder folder;
  for (const int64_t step : {1, 2, 3, 4}) save_sample(folder.path(), step, 9);
  fs::remove(folder / "step_000004/manifest.json");
  fs::resize_file(folder / "step_000003/model/weights", 2999);
  EXPECT_EQ(find_checkpoint(folder.path()), folder / "step_000002");
  fs::remove(folder / "step_000002/state");
  fs::remove_all(folder / "step_000001");
  EXPECT_EQ(find_checkpoint(folder.path()), std::nullopt);
  EXPECT_TRUE(has_checkpoints(folder.path()));  // so nobody starts afresh over them
}

TEST(Checkpoint, LatestDecidesNothing) {
  const MemoryFolder folder;
  for (const int64_t step : {1, 2}) save_sample(folder.path(), step);
  fs::remove(folder / "latest");
  EXPECT_EQ(find_checkpoint(folder.path()), folder / "step_000002");
  fs::create_symlink("step_000001", folder / "latest");
  EXPECT_EQ(find_checkpoint(folder.path()), folder / "step_000002");
  fs::remove(folder / "latest");
  fs::create_symlink("step_000009", folder / "latest");
  EXPECT_EQ(find_checkpoint(folder.path()), folder / "step_000002");
  save_sample(folder.path(), 3);
  EXPECT_EQ(fs::read_symlink(folder / "latest"), "step_000003");
}

TEST(Checkpoint, RemovesLeftoversOfCrashes) {
  const MemoryFolder folder;
  save_sample(folder.path(), 1);
  fs::create_directories(folder / ".tmp-step_000002/model");
  fs::create_directories(folder / ".trash-step_000000/model");
  fs::create_symlink("step_000002", folder / ".tmp-latest");
  EXPECT_EQ(find_checkpoint(folder.path()), folder / "step_000001");
  save_sample(folder.path(), 2);
  EXPECT_EQ(names_in(folder.path()), (Names{"latest", "step_000001", "step_000002"}));
  expect_sample(folder / "step_000002", 2);
}

TEST(Checkpoint, NeverReplacesACompleteOne) {
  const MemoryFolder folder;
  save_sample(folder.path(), 1);
  expect_error<Error>([&] { save_sample(folder.path(), 1); },
                      {folder / "step_000001", "this checkpoint exists already"});
  expect_sample(folder / "step_000001", 1);
  fs::remove(folder / "step_000001/state");
  save_sample(folder.path(), 1);
  expect_sample(folder / "step_000001", 1);
  EXPECT_EQ(names_in(folder.path()), (Names{"latest", "step_000001"}));
}

TEST(Checkpoint, ExceptionWhileWritingLeavesNothing) {
  const MemoryFolder folder;
  save_sample(folder.path(), 1);
  const auto fail = [](const fs::path& to) {
    write_sample(to, 2);
    throw std::logic_error("no more");
  };
  EXPECT_THROW(save_checkpoint(folder.path(), 2, {}, fail), std::logic_error);
  EXPECT_EQ(names_in(folder.path()), (Names{"latest", "step_000001"}));
  expect_sample(folder / "latest", 1);
}

TEST(Checkpoint, RefusesBadRequests) {
  const MemoryFolder folder;
  expect_error<InputError>([&] { save_sample(folder.path(), 1, 0); },
                           {"keep_last: expected at least 1, got 0"});
  expect_error<Error>([&] { save_sample(folder.path(), -1); }, {"expected at least 0, got -1"});
  const auto link = [](const fs::path& to) { fs::create_symlink("/etc/hostname", to / "link"); };
  expect_error<Error>([&] { save_checkpoint(folder.path(), 1, {}, link); },
                      {"link", "holds files and folders only"});
  EXPECT_EQ(names_in(folder.path()), Names{});
  std::ofstream(folder / "file") << "x";
  expect_error<Error>([&] { save_sample(folder / "file", 1); }, {folder / "file"});
}

TEST(Checkpoint, EveryChangedByteIsNoticed) {
  const MemoryFolder folder;
  save_sample(folder.path(), 1);
  const fs::path checkpoint = folder / "step_000001";
  for (const char* name : {"model/weights", "state", "manifest.json"}) {
    const std::string whole = slurp(checkpoint / name);
    for (size_t at = 0; at<whole.size(); at += whole.size()> 1000 ? 101 : 1) {
      std::string damaged = whole;
      damaged[at] ^= 4;
      std::ofstream(checkpoint / name, std::ios::binary) << damaged;
      try {
        // Space that is not within a string is the only byte that may change.
        EXPECT_EQ(verify_checkpoint(checkpoint).step, 1);
        EXPECT_EQ(nlohmann::json::parse(damaged, nullptr, false),
                  nlohmann::json::parse(whole, nullptr, false))
            << name << " byte " << at;
        EXPECT_STREQ(name, "manifest.json");
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr((checkpoint / name).string()));
      }
    }
    std::ofstream(checkpoint / name, std::ios::binary) << whole;
  }
  expect_sample(checkpoint, 1);
}

TEST(Checkpoint, DamageIsDescribed) {
  const MemoryFolder folder;
  save_sample(folder.path(), 1);
  const fs::path checkpoint = folder / "step_000001";
  const std::string hash = hash_file(checkpoint / "state");
  std::ofstream(checkpoint / "state") << "step 2";
  expect_error<Error>([&] { verify_checkpoint(checkpoint); },
                      {checkpoint / "state", "damaged: xxh3_128: expected " + hash + ", got " +
                                                 hash_file(checkpoint / "state")});
  std::ofstream(checkpoint / "state") << "step 10";
  expect_error<Error>([&] { verify_checkpoint(checkpoint); },
                      {checkpoint / "state", "expected 6 bytes, got 7"});
  fs::remove(checkpoint / "state");
  expect_error<Error>(
      [&] { verify_checkpoint(checkpoint); },
      {checkpoint / "state", "expected 6 bytes, got none: No such file or directory"});
  std::ofstream(checkpoint / "manifest.json") << "{}";
  expect_error<Error>([&] { verify_checkpoint(checkpoint); },
                      {checkpoint / "manifest.json", "expected a hash, got none"});
  fs::remove(checkpoint / "manifest.json");
  expect_error<InputError>([&] { verify_checkpoint(checkpoint); },
                           {checkpoint, "not a checkpoint: there is no manifest.json"});
  expect_error<InputError>([&] { verify_checkpoint(folder / "absent"); },
                           {folder / "absent", "not a checkpoint"});
}

}  // namespace
}  // namespace caprl
