// manifest.json: what a complete checkpoint consists of.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace caprl {

struct Manifest {
  struct File {
    uint64_t size = 0;
    std::string hash;  // XXH3-128
  };
  int64_t step = 0;
  std::optional<double> score;
  std::map<std::string, File> files;  // by path below the folder
};

/// Lists and hashes everything below `folder` and writes manifest.json into it. Error for anything
/// but regular files and folders.
void write_manifest(const std::filesystem::path& folder, int64_t step, std::optional<double> score);

/// InputError if there is none, Error if it is damaged (it holds a hash of itself).
Manifest read_manifest(const std::filesystem::path& folder);

/// Error naming the first file that is missing or has another size.
void check_sizes(const std::filesystem::path& folder, const Manifest& manifest);
/// Error naming the first file whose content has another hash.
void check_hashes(const std::filesystem::path& folder, const Manifest& manifest);

}  // namespace caprl
