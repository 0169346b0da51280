// Data files row by row: JSONL, Parquet, or WebDataset archives.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "caprl/image/source.h"

namespace caprl {

/// What a row is to be used as: the columns that it needs (rows.h).
enum class RowKind { kCaption, kImage, kSft, kAny };

/// The files that names and patterns ("shards/*.parquet") stand for; those of a pattern in the
/// order of their names. InputError for a pattern that matches none.
std::vector<std::string> expand_data_files(const std::vector<std::string>& names);

struct RowPlace {
  std::string where;  // "FILE:LINE", "FILE: row 12 (row group 0)", "FILE: sample 'a' (byte 512)"
  int64_t count = 1;  // rows; more than one cannot be read together, and row() says why
  StoredImage image;  // in a Parquet file's image.bytes or in an archive; row() leaves it out
};

/// The rows of one file, in order. Not thread safe.
class DataReader {
 public:
  /// An archive by its name (".tar"), Parquet by its name or content, one JSON array by both
  /// (".json", "["), JSONL otherwise. InputError
  /// naming file and column if columns that `kind` needs are missing or of another type.
  static std::unique_ptr<DataReader> open(const std::filesystem::path& file, RowKind kind);
  virtual ~DataReader() = default;

  /// Moves on to the next row. InputErrors of the file itself: it cannot be read on, it has no
  /// rows.
  virtual std::optional<RowPlace> next() = 0;
  /// The row. InputError "WHERE: …" if it cannot be read; next() goes on after it.
  virtual nlohmann::json row() = 0;
};

}  // namespace caprl
