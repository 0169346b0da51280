#include <arrow/array.h>
#include <arrow/io/interfaces.h>
#include <arrow/table.h>
#include <parquet/arrow/writer.h>

#include <exception>

#include "io/atomic_file.h"
#include "io/parquet/file.h"
#include "io/parquet/from_json.h"

namespace caprl {
namespace {

using Kind = ColumnType::Kind;
using nlohmann::json;

/// Arrow writes to an AtomicFile; its Error is kept, for exceptions are not Arrow's way.
class Sink : public arrow::io::OutputStream {
 public:
  explicit Sink(const std::filesystem::path& path) : file_(path) {}
  arrow::Status Write(const void* data, int64_t size) override {
    try {
      file_.write(std::span(static_cast<const std::byte*>(data), static_cast<size_t>(size)));
    } catch (...) {
      failure_ = std::current_exception();
      return arrow::Status::IOError("not written");
    }
    position_ += size;
    return arrow::Status::OK();
  }
  arrow::Result<int64_t> Tell() const override { return position_; }
  arrow::Status Close() override { return arrow::Status::OK(); }
  bool closed() const override { return false; }

  void commit() { file_.commit(); }
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  AtomicFile file_;
  int64_t position_ = 0;
  std::exception_ptr failure_;
};

/// Images are compressed already, and no two are the same.
void set_up_bytes(const ColumnType& type, const std::string& path,
                  parquet::WriterProperties::Builder& properties) {
  if (type.kind == Kind::kBytes) {
    properties.compression(path, parquet::Compression::UNCOMPRESSED);
    properties.disable_dictionary(path);
  }
  const std::string inner = type.kind == Kind::kList ? path + ".list." : path + ".";
  for (const ColumnType& part : type.parts) set_up_bytes(part, inner + part.name, properties);
}

std::shared_ptr<parquet::WriterProperties> writer_properties(const ColumnType& row,
                                                             const ParquetLayout& layout) {
  constexpr int64_t kValuesBetweenLooks = 16;  // at the page's size: images are large
  parquet::WriterProperties::Builder properties;
  properties.compression(parquet::Compression::ZSTD);
  properties.data_pagesize(layout.page_bytes);
  properties.write_batch_size(kValuesBetweenLooks);
  properties.enable_page_checksum();
  for (const ColumnType& column : row.parts) set_up_bytes(column, column.name, properties);
  return properties.build();
}

}  // namespace

struct ParquetWriter::Impl {
  std::string name;
  ColumnType row;  // a struct of the columns
  ParquetLayout layout;
  std::shared_ptr<arrow::Schema> schema;
  std::shared_ptr<Sink> sink;
  std::unique_ptr<parquet::arrow::FileWriter> writer;
  std::unique_ptr<arrow::ArrayBuilder> builder;  // of the rows of the next row group
  int64_t bytes = 0;                             // of them

  template <class Work>
  void write(Work work) {
    try {
      with_arrow(name, work);
    } catch (const InputError& error) {
      sink->rethrow();
      throw Error("{}", error.what());
    }
  }

  void open(const std::filesystem::path& path) {
    const auto type = at_place(name, [&] { return arrow_type(row, "row"); });
    schema = arrow::schema(type->fields());
    sink = std::make_shared<Sink>(path);
    write([&] {
      const auto arrow_properties =
          parquet::ArrowWriterProperties::Builder().store_schema()->build();
      writer = value_of(parquet::arrow::FileWriter::Open(*schema, arrow::default_memory_pool(),
                                                         sink, writer_properties(row, layout),
                                                         arrow_properties));
      builder = value_of(arrow::MakeBuilder(type));
    });
  }

  void write_row_group() {
    if (builder->length() == 0) return;
    write([&] {
      const auto rows = value_of(builder->Finish());
      const auto table = arrow::Table::Make(
          schema, static_cast<const arrow::StructArray&>(*rows).fields(), rows->length());
      return writer->WriteTable(*table, std::max<int64_t>(1, rows->length()));
    });
    bytes = 0;
  }
};

ParquetWriter::ParquetWriter(const std::filesystem::path& path, std::vector<ColumnType> columns,
                             const ParquetLayout& layout)
    : impl_(std::make_unique<Impl>()) {
  impl_->name = path.string();
  impl_->row = {Kind::kStruct, "", "struct", std::move(columns)};
  impl_->layout = layout;
  impl_->open(path);
}
ParquetWriter::~ParquetWriter() = default;

void ParquetWriter::append(const json& row, std::string_view where) {
  if (!row.is_object()) throw InputError("{}: expected an object, got {}", where, row.type_name());
  for (const auto& [key, value] : row.items()) {
    const ColumnType* column = impl_->row.find(key);
    if (!column) throw InputError("{}: key '{}' is no column of the file", where, key);
    check_value(*column, value, key, where, impl_->bytes);
  }
  impl_->write([&] { return append_value(*impl_->builder, row); });
  if (impl_->bytes >= impl_->layout.row_group_bytes) impl_->write_row_group();
}

void ParquetWriter::commit() {
  impl_->write_row_group();
  impl_->write([&] { return impl_->writer->Close(); });
  impl_->sink->commit();
}

}  // namespace caprl
