// Where captions go: files of one line or row an image, that a kill leaves whole.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "caprl/io/jsonl.h"
#include "caprl/tasks/caption.h"

namespace caprl {

/// The files of one process: BASE.jsonl, or with shards BASE.000000.jsonl, BASE.000001.jsonl, …
/// Lines are appended to the last one. Of Parquet the file of lines is a journal: when it is full,
/// or at the end, its rows become BASE.000000.parquet, which appears whole, and the journal goes. A
/// journal beside the Parquet file of its name is what a kill has left between the two. Not thread
/// safe.
class CaptionOutput {
 public:
  /// Goes on with the last file. `base`: without the suffix.
  CaptionOutput(std::filesystem::path base, const CaptionOutputConfig& config);
  void append(const nlohmann::json& line);
  /// Nothing comes any more.
  void close();

 private:
  std::filesystem::path lines_file() const;
  void open();
  void finish_shard();

  std::filesystem::path base_;
  CaptionOutputConfig config_;
  int64_t number_ = 0, rows_ = 0;  // of the current file
  std::unique_ptr<JsonlAppender> lines_;
};

/// After a kill: cuts off torn lines, and finishes what of Parquet was about to be, or belongs to
/// none of the `bases` that will go on; of files whose names begin with `stem`. Nobody may be
/// writing them.
void repair_captions(const std::filesystem::path& dir, const std::string& stem,
                     const CaptionOutputConfig& config,
                     const std::vector<std::filesystem::path>& bases);

/// use(index) of every item that has captions in the folder's files whose names begin with `stem`.
/// InputError for a line that is none.
void for_each_captioned(const std::filesystem::path& dir, const std::string& stem,
                        int64_t num_items, const std::function<void(int64_t)>& use);

}  // namespace caprl
