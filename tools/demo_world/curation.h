// What question curation made of a pool whose flaws are known.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace caprl::demo {

struct FlawCount {
  int64_t written = 0, kept = 0;
};

/// By the flaw's name. `flaws`: pool_flaws.jsonl; `kept`: rows of the training schema, joined by id
/// and question. InputError for a row that keeps what was not written.
std::map<std::string, FlawCount> count_flaws(const std::filesystem::path& flaws,
                                             const std::filesystem::path& kept);

}  // namespace caprl::demo
