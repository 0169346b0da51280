#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_nested.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/io/interfaces.h>
#include <arrow/table.h>
#include <parquet/arrow/writer.h>

#include <exception>
#include <map>

#include "io/atomic_file.h"
#include "io/parquet/file.h"

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

std::shared_ptr<arrow::DataType> leaf_type(const ColumnType& type, const std::string& path) {
  static const std::map<std::string, std::shared_ptr<arrow::DataType>> kTypes = [] {
    std::map<std::string, std::shared_ptr<arrow::DataType>> types;
    for (const auto& leaf :
         {arrow::null(), arrow::boolean(), arrow::int8(), arrow::int16(), arrow::int32(),
          arrow::int64(), arrow::uint8(), arrow::uint16(), arrow::uint32(), arrow::uint64(),
          arrow::float32(), arrow::float64(), arrow::utf8(), arrow::large_utf8(), arrow::binary(),
          arrow::large_binary()})
      types[leaf->ToString()] = leaf;
    return types;
  }();
  const auto found = kTypes.find(type.exact);
  if (found == kTypes.end())
    throw InputError("column '{}': cannot write the type {}", path, type.exact);
  return found->second;
}

std::shared_ptr<arrow::DataType> arrow_type(const ColumnType& type, const std::string& path) {
  if (type.kind == Kind::kList)
    return arrow::list(arrow::field("element", arrow_type(type.parts.at(0), path)));
  if (type.kind != Kind::kStruct) return leaf_type(type, path);
  if (type.parts.empty())
    throw InputError("column '{}': an object without keys has no form in Parquet", path);
  arrow::FieldVector fields;
  for (const ColumnType& part : type.parts)
    fields.push_back(arrow::field(part.name, arrow_type(part, path + "." + part.name)));
  return arrow::struct_(fields);
}

[[noreturn]] void refuse(const ColumnType& type, const json& value, const std::string& path,
                         std::string_view where) {
  throw InputError("{}: key '{}': expected {}, got {}", where, path, describe(type),
                   value.type_name());
}

/// Whether an integer keeps its value in a number of this type.
bool keeps_value(const json& value, const std::string& type) {
  const bool is_large = value.is_number_unsigned() &&
                        value.get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()};
  if (type == "uint64") return is_large || value.get<int64_t>() >= 0;
  if (is_large) return false;
  const auto number = value.get<int64_t>();
  if (type == "double" || type == "float") {
    const int digits = type == "double" ? 53 : 24;
    return number >= -(int64_t{1} << digits) && number <= int64_t{1} << digits;
  }
  const bool is_unsigned = type.starts_with("uint");
  const int bits = std::stoi(type.substr(is_unsigned ? 4 : 3));
  if (bits == 64) return true;
  const int64_t least = is_unsigned ? 0 : -(int64_t{1} << (bits - 1));
  return number >= least && number < least + (int64_t{1} << bits);
}

bool fits_leaf(const ColumnType& type, const json& value) {
  switch (type.kind) {
    case Kind::kBool:
      return value.is_boolean();
    case Kind::kInteger:
      return value.is_number_integer();
    case Kind::kFloat:
      return value.is_number();
    case Kind::kText:
      return value.is_string();
    case Kind::kBytes:
      return value.is_binary();
    default:
      return false;
  }
}

/// InputError if the value is none of the type; counts its bytes.
void check(const ColumnType& type, const json& value, const std::string& path,
           std::string_view where, int64_t& bytes) {
  bytes += 8;
  if (value.is_null()) return;
  if (type.kind == Kind::kList && value.is_array()) {
    for (const json& element : value) check(type.parts.at(0), element, path, where, bytes);
  } else if (type.kind == Kind::kStruct && value.is_object()) {
    for (const auto& [key, member] : value.items()) {
      const ColumnType* part = type.find(key);
      if (!part) throw InputError("{}: key '{}.{}' is no column of the file", where, path, key);
      check(*part, member, path + "." + key, where, bytes);
    }
  } else if (!fits_leaf(type, value)) {
    refuse(type, value, path, where);
  } else if (value.is_number_integer() && !keeps_value(value, type.exact)) {
    throw InputError("{}: key '{}': {} is beyond {}", where, path, value.dump(), type.exact);
  }
  if (value.is_string()) bytes += static_cast<int64_t>(value.get_ref<const std::string&>().size());
  if (value.is_binary()) bytes += static_cast<int64_t>(value.get_binary().size());
}

using arrow::ArrayBuilder;
using arrow::Status;

/// Of integers every width, and of texts and bytes both, have their own builder.
template <class Builder, class Value>
Status append_as(ArrayBuilder& builder, const Value& value) {
  return static_cast<Builder&>(builder).Append(value);
}

Status append_integer(ArrayBuilder& builder, const json& value) {
  const auto number = value.get<int64_t>();
  switch (builder.type()->id()) {
    case arrow::Type::INT8:
      return append_as<arrow::Int8Builder>(builder, static_cast<int8_t>(number));
    case arrow::Type::INT16:
      return append_as<arrow::Int16Builder>(builder, static_cast<int16_t>(number));
    case arrow::Type::INT32:
      return append_as<arrow::Int32Builder>(builder, static_cast<int32_t>(number));
    case arrow::Type::UINT8:
      return append_as<arrow::UInt8Builder>(builder, static_cast<uint8_t>(number));
    case arrow::Type::UINT16:
      return append_as<arrow::UInt16Builder>(builder, static_cast<uint16_t>(number));
    case arrow::Type::UINT32:
      return append_as<arrow::UInt32Builder>(builder, static_cast<uint32_t>(number));
    case arrow::Type::UINT64:
      return append_as<arrow::UInt64Builder>(builder, value.get<uint64_t>());
    default:
      return append_as<arrow::Int64Builder>(builder, number);
  }
}

Status append_bytes(ArrayBuilder& builder, std::string_view bytes) {
  switch (builder.type()->id()) {
    case arrow::Type::STRING:
      return append_as<arrow::StringBuilder>(builder, bytes);
    case arrow::Type::LARGE_STRING:
      return append_as<arrow::LargeStringBuilder>(builder, bytes);
    case arrow::Type::LARGE_BINARY:
      return append_as<arrow::LargeBinaryBuilder>(builder, bytes);
    default:
      return append_as<arrow::BinaryBuilder>(builder, bytes);
  }
}

Status append_value(ArrayBuilder& builder, const json& value);

Status append_list(ArrayBuilder& builder, const json& value) {
  auto& list = static_cast<arrow::ListBuilder&>(builder);
  ARROW_RETURN_NOT_OK(list.Append());
  for (const json& element : value)
    ARROW_RETURN_NOT_OK(append_value(*list.value_builder(), element));
  return Status::OK();
}

Status append_struct(ArrayBuilder& builder, const json& value) {
  static const json kNull;
  auto& fields = static_cast<arrow::StructBuilder&>(builder);
  ARROW_RETURN_NOT_OK(fields.Append());
  for (int f = 0; f < fields.num_fields(); ++f) {
    const auto member = value.find(fields.type()->field(f)->name());
    ARROW_RETURN_NOT_OK(
        append_value(*fields.field_builder(f), member == value.end() ? kNull : *member));
  }
  return Status::OK();
}

Status append_value(ArrayBuilder& builder, const json& value) {
  if (value.is_null()) return builder.AppendNull();
  switch (builder.type()->id()) {
    case arrow::Type::BOOL:
      return append_as<arrow::BooleanBuilder>(builder, value.get<bool>());
    case arrow::Type::FLOAT:
      return append_as<arrow::FloatBuilder>(builder, value.get<float>());
    case arrow::Type::DOUBLE:
      return append_as<arrow::DoubleBuilder>(builder, value.get<double>());
    case arrow::Type::LIST:
      return append_list(builder, value);
    case arrow::Type::STRUCT:
      return append_struct(builder, value);
    default:
      break;
  }
  if (value.is_string()) return append_bytes(builder, value.get_ref<const std::string&>());
  if (!value.is_binary()) return append_integer(builder, value);
  const auto& bytes = value.get_binary();
  return append_bytes(builder, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

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
  std::unique_ptr<ArrayBuilder> builder;  // of the rows of the next row group
  int64_t bytes = 0;                      // of them

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
  if (!row.is_object()) refuse(impl_->row, row, "row", where);
  for (const auto& [key, value] : row.items()) {
    const ColumnType* column = impl_->row.find(key);
    if (!column) throw InputError("{}: key '{}' is no column of the file", where, key);
    check(*column, value, key, where, impl_->bytes);
  }
  impl_->write([&] { return append_struct(*impl_->builder, row); });
  if (impl_->bytes >= impl_->layout.row_group_bytes) impl_->write_row_group();
}

void ParquetWriter::commit() {
  impl_->write_row_group();
  impl_->write([&] { return impl_->writer->Close(); });
  impl_->sink->commit();
}

}  // namespace caprl
