// What a bulk task goes through: rows of data files, then image files, each with a number that
// stays its own for the whole run. Nothing of it is held in memory but a bit for each item.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "caprl/data/dataset.h"
#include "caprl/data/reader.h"
#include "caprl/data/rows.h"
#include "caprl/tasks/caption.h"
#include "tasks/index_set.h"

namespace caprl {

class DuplicateFinder;

struct InputSpec {
  std::vector<std::string> files;   // JSONL, Parquet, and patterns of them
  std::vector<std::string> images;  // image files, folders, patterns
  RowKind kind = RowKind::kImage;
  std::vector<ChatMessage> prompt;  // of image files, and of rows without one
  std::shared_ptr<const Tokenizer> tokenizer;
  BadRows bad_rows = BadRows::kStop;
  DuplicateKey duplicates = DuplicateKey::kName;
  std::function<void(nlohmann::json&)> adapt;  // a row to one of the data schema; or none
};

/// A question-blind prompt: the image, then the text. InputError naming the key if the text has one
/// of the tokenizer's added tokens.
std::vector<ChatMessage> image_prompt(const std::string& text, const Tokenizer& tokenizer,
                                      std::string_view key);

struct InputItem {
  int64_t index = 0;     // among all rows and image files, bad ones included
  std::string where;     // "FILE:LINE", or the image's path
  ImageRow row;          // unless there is an error
  nlohmann::json value;  // the row, adapted; null for an image file
  std::string error;     // why it cannot be used, with its place; or empty
};

/// The sources of a run, as the manifest in its folder lists them: STEM.json with the data files
/// and the numbers of items, STEM.images with the paths of the image files, each ended by a zero
/// byte, and STEM.duplicates.jsonl. Files that are added to folders later take no part.
class Inputs {
 public:
  /// Reads the manifest `dir`/`stem`.json, or goes through all sources and writes it. InputError if
  /// a source cannot be read, is not what the manifest says, or, under BadRows::kStop, at the first
  /// bad row and at the first row with the id of another.
  Inputs(InputSpec spec, const std::filesystem::path& dir, const std::string& stem);

  int64_t size() const { return size_; }  // all items
  int64_t num_duplicates() const { return duplicates_.size(); }
  /// Whether the item is to be worked on.
  bool is_distinct(int64_t index) const { return !duplicates_.contains(index); }

 private:
  friend class InputStream;
  struct Source {
    std::string file;
    int64_t bytes = 0;
  };
  void scan();
  void write_manifest(DuplicateFinder& keys, int64_t num_bad);
  void load();
  std::filesystem::path part(const char* suffix) const;

  InputSpec spec_;
  std::filesystem::path dir_;
  std::string stem_;
  std::vector<Source> sources_;
  int64_t num_images_ = 0, size_ = 0;
  IndexSet duplicates_;
};

/// One pass over the items. Not thread safe.
class InputStream {
 public:
  /// `inputs` must live as long.
  explicit InputStream(const Inputs& inputs);
  ~InputStream();
  /// The next item that is wanted(index); the others are passed over without being parsed.
  std::optional<InputItem> next(const std::function<bool(int64_t)>& wanted);

 private:
  std::optional<InputItem> next_row(const std::function<bool(int64_t)>& wanted);
  std::optional<InputItem> next_image(const std::function<bool(int64_t)>& wanted);
  bool open_source();

  const Inputs& inputs_;
  int64_t index_ = 0;  // of the next item
  size_t source_ = 0;
  std::filesystem::path folder_;  // of the source
  std::unique_ptr<DataReader> reader_;
  std::unique_ptr<std::ifstream> images_;
  std::string damage_, damage_where_;  // of rows that cannot be read together
  int64_t damaged_left_ = 0;
};

}  // namespace caprl
