// One line an item: what RUN/items*.jsonl holds.
#pragma once
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tasks/eval/items.h"

namespace caprl {

/// What the summary needs of an item's line.
struct ItemRecord {
  bool is_skipped = false;
  std::vector<double> scores;  // of the samples that could be asked about
  int64_t captions = 0, truncated_captions = 0, caption_tokens = 0;
  int64_t answers = 0, truncated_answers = 0, unread_answers = 0;
};

/// What the files are called: items.jsonl, items-00001-of-00004.jsonl of a rank.
inline constexpr const char* kItemRecords = "items";

/// Every item's record, of all ranks of all runs in the folder, by index. InputError naming the
/// line that is none, or of another item than the data has there.
std::map<int64_t, ItemRecord> read_records(const std::filesystem::path& dir,
                                           const std::vector<EvalItem>& items);

}  // namespace caprl
