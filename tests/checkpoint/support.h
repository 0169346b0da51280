// What the tests of this module share.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "caprl/checkpoint/checkpoint.h"
#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl::test {

/// These tests sync thousands of files: in memory, where there is such a folder.
class MemoryFolder : public TempFolder {
 public:
  MemoryFolder() : TempFolder(parent()) {}

 private:
  static std::filesystem::path parent() {
    const std::filesystem::path memory = "/dev/shm";
    return ::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
  }
};

/// Names in a folder, hidden ones included.
inline std::set<std::string> names_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& item : std::filesystem::directory_iterator(folder))
    names.insert(item.path().filename().string());
  return names;
}

/// What the tests save at a step: files in two folders, one empty folder, one empty file.
inline void write_sample(const std::filesystem::path& folder, int64_t step) {
  std::filesystem::create_directory(folder / "model");
  std::filesystem::create_directory(folder / "nothing");
  write_file_atomic(folder / "model/weights", std::string(3000, static_cast<char>('a' + step)));
  write_file_atomic(folder / "model/empty", "");
  std::ofstream state(folder / "state");
  if (!(state << "step " << step).flush())
    throw Error("{}: {}", (folder / "state").string(), std::strerror(errno));
}

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

inline void save_sample(const std::filesystem::path& root, int64_t step, int64_t keep_last = 2) {
  CheckpointOptions options;
  options.keep_last = keep_last;
  save_checkpoint(root, step, options,
                  [&](const std::filesystem::path& folder) { write_sample(folder, step); });
}

/// The checkpoint is exactly what write_sample wrote at `step`.
inline void expect_sample(const std::filesystem::path& folder, int64_t step) {
  SCOPED_TRACE(folder);
  EXPECT_EQ(verify_checkpoint(folder).step, step);
  EXPECT_EQ(slurp(folder / "model/weights"), std::string(3000, static_cast<char>('a' + step)));
  EXPECT_EQ(slurp(folder / "state"), "step " + std::to_string(step));
  EXPECT_EQ(names_in(folder),
            (std::set<std::string>{"manifest.json", "model", "nothing", "state"}));
  EXPECT_EQ(names_in(folder / "model"), (std::set<std::string>{"empty", "weights"}));
}

}  // namespace caprl::test
