#include "tasks/rows_writer.h"

#include <span>

#include "caprl/core/files.h"
#include "caprl/io/base64.h"
#include "caprl/io/jsonl.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Kind = ColumnType::Kind;

class JsonlRowsWriter : public RowsWriter {
 public:
  explicit JsonlRowsWriter(const fs::path& file)
      : file_(file), unfinished_(unfinished_path(file)), lines_(fresh(unfinished_)) {}
  ~JsonlRowsWriter() override {
    std::error_code ignored;
    fs::remove(unfinished_, ignored);
  }
  void append(const json& row, std::string_view) override {
    json line = row;
    encode_bytes(line);
    lines_.append(line);
  }
  void commit() override {
    sync_path(unfinished_);
    fs::rename(unfinished_, file_);
    sync_path(fs::absolute(file_).parent_path());
  }

 private:
  static const fs::path& fresh(const fs::path& file) {
    fs::remove(file);
    return file;
  }
  fs::path file_, unfinished_;
  JsonlAppender lines_;
};

class ParquetRowsWriter : public RowsWriter {
 public:
  ParquetRowsWriter(const fs::path& file, std::vector<ColumnType> columns)
      : writer_(file, std::move(columns)) {}
  void append(const json& row, std::string_view where) override { writer_.append(row, where); }
  void commit() override { writer_.commit(); }

 private:
  ParquetWriter writer_;
};

}  // namespace

void encode_bytes(json& value) {
  if (value.is_binary())
    value = encode_base64(std::as_bytes(std::span(value.get_binary())));
  else if (value.is_structured())
    for (json& element : value) encode_bytes(element);
}

std::unique_ptr<RowsWriter> RowsWriter::jsonl(const fs::path& file) {
  return std::make_unique<JsonlRowsWriter>(file);
}
std::unique_ptr<RowsWriter> RowsWriter::parquet(const fs::path& file,
                                                std::vector<ColumnType> columns) {
  return std::make_unique<ParquetRowsWriter>(file, std::move(columns));
}

ColumnType text_column(const std::string& name) { return {Kind::kText, name, "string", {}}; }
ColumnType bytes_column(const std::string& name) { return {Kind::kBytes, name, "binary", {}}; }
ColumnType integer_column(const std::string& name) { return {Kind::kInteger, name, "int64", {}}; }
ColumnType list_column(const std::string& name, ColumnType element) {
  element.name = "element";
  return {Kind::kList, name, "list", {std::move(element)}};
}
ColumnType struct_column(const std::string& name, std::vector<ColumnType> members) {
  return {Kind::kStruct, name, "struct", std::move(members)};
}

ColumnType image_column() {
  return struct_column("image", {bytes_column("bytes"), text_column("path")});
}

}  // namespace caprl
