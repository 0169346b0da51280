// Lines {"index", …} that the processes of a run append to its folder, one for each item.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "caprl/io/jsonl.h"

namespace caprl {

/// DIR/STEM.jsonl, or DIR/STEM-00001-of-00004.jsonl of one of several processes.
std::filesystem::path records_file(const std::filesystem::path& dir, const std::string& stem,
                                   int64_t rank, int64_t size);

/// Those of all processes of all runs in the folder, by name.
std::vector<std::filesystem::path> records_files(const std::filesystem::path& dir,
                                                 const std::string& stem);

/// Cuts off what a kill has left of last lines. Nobody may be writing.
void repair_records(const std::filesystem::path& dir, const std::string& stem);

struct Record {
  int64_t index = 0;
  nlohmann::json value;
  std::string where;  // "FILE:LINE"
};

/// use(record) of every line, file by file. InputError naming the line that is none, or whose index
/// is not below `num_items`.
void for_each_record(const std::vector<std::filesystem::path>& files, int64_t num_items,
                     const std::function<void(Record)>& use);

/// The lines of several files in the order of their indices, which is each file's own order: one
/// line of each is held. Not thread safe.
class RecordMerge {
 public:
  /// Errors as for_each_record(), and for a file that is not in order.
  RecordMerge(const std::vector<std::filesystem::path>& files, int64_t num_items);
  ~RecordMerge();
  std::optional<Record> next();
  /// The record of this index; earlier ones are passed over. Absent if there is none.
  std::optional<Record> find(int64_t index);

 private:
  class Lines;
  std::vector<std::unique_ptr<Lines>> files_;
};

}  // namespace caprl
