// Rows of data, as JSONL or Parquet, in a file that appears when it is whole.
#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/io/parquet.h"

namespace caprl {

class RowsWriter {
 public:
  virtual ~RowsWriter() = default;
  /// Bytes are nlohmann's binary values; in JSONL they are base64. Error if it cannot be written.
  virtual void append(const nlohmann::json& row, std::string_view where) = 0;
  virtual void commit() = 0;

  static std::unique_ptr<RowsWriter> jsonl(const std::filesystem::path& file);
  static std::unique_ptr<RowsWriter> parquet(const std::filesystem::path& file,
                                             std::vector<ColumnType> columns);
};

/// Bytes as base64, which JSON can hold.
void encode_bytes(nlohmann::json& value);

/// Columns of their kinds.
ColumnType text_column(const std::string& name);
ColumnType bytes_column(const std::string& name);
ColumnType integer_column(const std::string& name);
ColumnType list_column(const std::string& name, ColumnType element);
ColumnType struct_column(const std::string& name, std::vector<ColumnType> members);
/// {bytes, path}
ColumnType image_column();

}  // namespace caprl
