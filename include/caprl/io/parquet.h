// Parquet files: rows as JSON, large values by row, and writing. A build without Arrow has the same
// functions, which say so (has_parquet).
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/core/shared_bytes.h"

namespace caprl {

/// Whether this build reads and writes Parquet. Where it does not, what follows throws an Error.
bool has_parquet();
/// By the file's first bytes. InputError if it cannot be read.
bool is_parquet(const std::filesystem::path& path);

/// What a column holds, or a part of one.
struct ColumnType {
  enum class Kind { kNull, kBool, kInteger, kFloat, kText, kBytes, kList, kStruct, kOther };
  Kind kind = Kind::kNull;
  std::string name;               // of the column or of the struct's member; "element" of a list's
  std::string exact;              // Arrow's name: "int64", "string", "list", "timestamp[ms]"
  std::vector<ColumnType> parts;  // a struct's members, or a list's one element

  const ColumnType* find(std::string_view member) const;
};
/// "list<struct<role: string, content: string>>"
std::string describe(const ColumnType& type);

struct RowGroupInfo {
  int64_t first_row = 0, num_rows = 0;
  int64_t stored_bytes = 0;  // in the file
  int64_t bytes = 0;         // uncompressed
};

/// An open file: its schema and layout. Immutable; thread safe.
class ParquetFile {
 public:
  /// InputError naming the file if it cannot be read, is no Parquet file, or has a damaged footer.
  explicit ParquetFile(std::filesystem::path path);
  ~ParquetFile();

  const std::filesystem::path& path() const;
  const std::vector<ColumnType>& columns() const;
  int64_t num_rows() const;
  const std::vector<RowGroupInfo>& row_groups() const;
  /// "FILE: row 12 (row group 0)"; rows count from 0.
  std::string place(int64_t row) const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// A row, or several that cannot be read because a page of a column is damaged.
struct ParquetRow {
  int64_t index = 0, count = 1;
  nlohmann::json value;  // an object; bytes are nlohmann's binary values
  std::string damage;    // "FILE: row …: column 'c': why" if it cannot be read, or empty
};

/// All rows in order. Holds a few hundred rows at a time, whatever the size of row groups. Not
/// thread safe.
class ParquetRows {
 public:
  /// Only the columns named, of those the file has; all if none is. `left_out`: a part that is not
  /// read ("image.bytes"), or nothing. InputError for a column of a type that has no JSON form.
  ParquetRows(std::shared_ptr<const ParquetFile> file, const std::vector<std::string>& columns,
              const std::string& left_out);
  ~ParquetRows();
  std::optional<ParquetRow> next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The bytes in one part of every row, read when they are asked for: only the page with the row is
/// read, and the newest pages are kept. Thread safe.
class ParquetBytes {
 public:
  static constexpr int64_t kDefaultCacheBytes = int64_t{1} << 25;

  /// `part`: "image.bytes". InputError if that is no column of bytes outside of lists.
  ParquetBytes(std::shared_ptr<const ParquetFile> file, const std::string& part,
               int64_t cache_bytes = kDefaultCacheBytes);
  ~ParquetBytes();
  /// Absent for a null. InputError naming file, row, row group and column for what is damaged.
  std::optional<SharedBytes> read(int64_t row) const;
  /// Whether the rows of a row group have a value; one that cannot be told from a damaged page
  /// counts as one.
  std::vector<bool> present(int64_t row_group) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct ParquetLayout {
  int64_t row_group_bytes = int64_t{32} << 20;
  int64_t page_bytes = int64_t{1} << 20;
};

/// Writes rows beside the target, which appears when all are written. Pages have checksums. Not
/// thread safe.
class ParquetWriter {
 public:
  ParquetWriter(const std::filesystem::path& path, std::vector<ColumnType> columns,
                const ParquetLayout& layout = {});
  ~ParquetWriter();
  /// InputError "WHERE: …" if the row does not fit the columns: another type, a key that is none of
  /// them. Absent keys are nulls.
  void append(const nlohmann::json& row, std::string_view where);
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace caprl
