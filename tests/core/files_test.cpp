#include "caprl/core/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "caprl/core/error.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

std::vector<std::string> names_in(const TempFolder& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    names.push_back(entry.path().filename());
  return names;
}

TEST(Files, WritesAndReplacesWhole) {
  const TempFolder folder;
  const auto file = folder / "a.bin";
  const std::string first(200'000, 'x'), second("short\0\n", 7);
  write_file_atomic(file, first);
  EXPECT_EQ(read_file(file), first);
  write_file_atomic(file, second);
  EXPECT_EQ(read_file(file), second);
  write_file_atomic(file, "");
  EXPECT_EQ(read_file(file), "");
  EXPECT_THAT(names_in(folder), testing::ElementsAre("a.bin"));
}

TEST(Files, WhatKilledWritersLeaveIsRemoved) {
  const TempFolder folder;
  write_file_atomic(folder / "a.bin", "whole");
  write_file_atomic(folder / "notes.tmp-7", "mine");
  write_file_atomic(folder / ".tmp-seven", "mine");
  write_file_atomic(folder / ".a.bin.tmp-4711", "half");
  write_file_atomic(unfinished_path(folder / "b.bin"), "half");
  remove_unfinished(folder.path());
  EXPECT_THAT(names_in(folder),
              testing::UnorderedElementsAre("a.bin", "notes.tmp-7", ".tmp-seven"));
  EXPECT_NO_THROW(remove_unfinished(folder / "absent"));
}

TEST(Files, WriteToAnAbsentFolderFails) {
  const TempFolder folder;
  const std::string message =
      message_of<Error>([&] { write_file_atomic(folder / "no/a.txt", "x"); });
  EXPECT_THAT(message, testing::StartsWith((folder / "no/a.txt").string()));
  EXPECT_THAT(message, testing::EndsWith(" cannot be opened: No such file or directory"));
}

/// No file may grow beyond a size, as on a full disk; restored at the end of the scope.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(Files, FailedWriteKeepsTheOldFileAndLeavesNothingElse) {
  const TempFolder folder;
  const auto file = folder / "a.txt";
  write_file_atomic(file, "old");
  {
    const FullDisk full(4096);
    const std::string message =
        message_of<Error>([&] { write_file_atomic(file, std::string(100'000, 'x')); });
    EXPECT_THAT(message, testing::HasSubstr(" cannot be written: File too large"));
  }
  EXPECT_EQ(read_file(file), "old");
  EXPECT_THAT(names_in(folder), testing::ElementsAre("a.txt"));
}

TEST(Files, WriteOverAFolderLeavesNothingElse) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "a");
  EXPECT_THROW(write_file_atomic(folder / "a", "x"), Error);
  EXPECT_THAT(names_in(folder), testing::ElementsAre("a"));
}

TEST(Files, UnreadableFileIsTheUsersFault) {
  const TempFolder folder;
  EXPECT_EQ(message_of<InputError>([&] { read_file(folder / "none"); }),
            (folder / "none").string() + " cannot be opened: No such file or directory");
  EXPECT_EQ(message_of<InputError>([&] { read_file(folder.path()); }),
            folder.path().string() + " cannot be read: Is a directory");
}

TEST(Files, SyncTreeGoesThroughFoldersAndNamesWhatFails) {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "a/b");
  folder.write("a/b/c", "x");
  EXPECT_NO_THROW(sync_tree(folder.path()));
  EXPECT_EQ(message_of<Error>([&] { sync_path(folder / "none"); }),
            (folder / "none").string() + " cannot be opened: No such file or directory");
}

// XXH128 of xxhsum 0.8 ("printf '' | xxhsum -H2", "printf abc | xxhsum -H2").
TEST(Files, HashesAreXxh3) {
  const TempFolder folder;
  EXPECT_EQ(hash_file(folder.write("empty", "")), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_file(folder.write("abc", "abc")), "06b05ab6733a618578af5f94892f3950");
  EXPECT_THROW(hash_file(folder / "none"), Error);
}

TEST(Files, HashOfAFileIsThatOfItsBytes) {
  const TempFolder folder;
  std::string content(3'000'001, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i >> 7);
  EXPECT_EQ(hash_file(folder.write("big", content)), hash_bytes(std::as_bytes(std::span(content))));
}

}  // namespace
}  // namespace caprl
