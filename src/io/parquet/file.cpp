#include "io/parquet/file.h"

#include <arrow/io/file.h>
#include <arrow/type_traits.h>
#include <parquet/arrow/schema.h>

namespace caprl {
namespace {

ColumnType::Kind kind_of(const arrow::DataType& type) {
  using Kind = ColumnType::Kind;
  switch (type.id()) {
    case arrow::Type::NA:
      return Kind::kNull;
    case arrow::Type::BOOL:
      return Kind::kBool;
    case arrow::Type::FLOAT:
    case arrow::Type::DOUBLE:
      return Kind::kFloat;
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
      return Kind::kText;
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
      return Kind::kBytes;
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
      return Kind::kList;
    case arrow::Type::STRUCT:
      return Kind::kStruct;
    default:
      return arrow::is_integer(type.id()) ? Kind::kInteger : Kind::kOther;
  }
}

ColumnType column_type(const std::string& name, const arrow::DataType& type) {
  // Categories are what they name.
  if (type.id() == arrow::Type::DICTIONARY)
    return column_type(name, *static_cast<const arrow::DictionaryType&>(type).value_type());
  ColumnType column{kind_of(type), name, type.ToString(), {}};
  if (column.kind == ColumnType::Kind::kStruct)
    for (const auto& field : type.fields())
      column.parts.push_back(column_type(field->name(), *field->type()));
  if (column.kind == ColumnType::Kind::kList)
    column.parts.push_back(column_type("element", *type.field(0)->type()));
  if (!column.parts.empty()) column.exact = type.name();
  return column;
}

std::unique_ptr<ParquetFile::Impl> open_file(std::filesystem::path path) {
  auto file = std::make_unique<ParquetFile::Impl>();
  file->path = std::move(path);
  with_arrow(file->path.string(), [&] {
    file->source = value_of(arrow::io::ReadableFile::Open(file->path.string()));
    const auto reader = parquet::ParquetFileReader::Open(file->source, reader_properties());
    file->metadata = reader->metadata();
    return parquet::arrow::FromParquetSchema(file->metadata->schema(),
                                             parquet::default_arrow_reader_properties(),
                                             file->metadata->key_value_metadata(), &file->schema);
  });
  for (const auto& field : file->schema->fields())
    file->columns.push_back(column_type(field->name(), *field->type()));
  int64_t first_row = 0;
  for (int g = 0; g < file->metadata->num_row_groups(); ++g) {
    const auto group = file->metadata->RowGroup(g);
    file->row_groups.push_back(
        {first_row, group->num_rows(), group->total_compressed_size(), group->total_byte_size()});
    first_row += group->num_rows();
  }
  if (first_row != file->metadata->num_rows())
    throw InputError("{}: its footer counts {} rows, its row groups have {}", file->path.string(),
                     file->metadata->num_rows(), first_row);
  return file;
}

}  // namespace

parquet::ReaderProperties reader_properties() {
  parquet::ReaderProperties properties;
  properties.enable_buffered_stream();
  properties.set_buffer_size(int64_t{1} << 18);
  properties.set_page_checksum_verification(true);
  return properties;
}

std::string plain_reason(const std::string& message) {
  return message.substr(0, message.find('\n'));
}

int64_t ParquetFile::Impl::group_of(int64_t row) const {
  const auto after = std::ranges::upper_bound(row_groups, row, {}, &RowGroupInfo::first_row);
  return after - row_groups.begin() - 1;
}

bool has_parquet() { return true; }

ParquetFile::ParquetFile(std::filesystem::path path) : impl_(open_file(std::move(path))) {}
ParquetFile::~ParquetFile() = default;
const std::filesystem::path& ParquetFile::path() const { return impl_->path; }
const std::vector<ColumnType>& ParquetFile::columns() const { return impl_->columns; }
int64_t ParquetFile::num_rows() const { return impl_->metadata->num_rows(); }
const std::vector<RowGroupInfo>& ParquetFile::row_groups() const { return impl_->row_groups; }
std::string ParquetFile::place(int64_t row) const {
  return fmt::format("{}: row {} (row group {})", impl_->path.string(), row, impl_->group_of(row));
}

}  // namespace caprl
