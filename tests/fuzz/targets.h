// What the fuzzers run: every parser of files from outside, with the project's own files as seeds.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace caprl {

struct FuzzTarget {
  std::string_view name;
  /// Parses the bytes. An InputError is the expected end of a bad file; whatever else leaves it is
  /// a finding.
  void (*parse)(std::span<const std::byte> bytes);
  std::vector<std::filesystem::path> seeds;  // files, and folders of files
};

std::span<const FuzzTarget> fuzz_targets();

/// Runs one input and swallows its InputError.
void fuzz_one(const FuzzTarget& target, std::span<const std::byte> bytes);

/// The files behind a target's seeds, in a fixed order.
std::vector<std::filesystem::path> seed_files(const FuzzTarget& target);

}  // namespace caprl
