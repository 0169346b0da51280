// A folder in the tests.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "caprl/core/files.h"

namespace caprl::demo {

/// Hashes of all files by relative path.
inline std::map<std::string, std::string> contents(const std::filesystem::path& dir) {
  std::map<std::string, std::string> hashes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir))
    if (entry.is_regular_file())
      hashes[std::filesystem::relative(entry.path(), dir).string()] = hash_file(entry.path());
  return hashes;
}

}  // namespace caprl::demo
