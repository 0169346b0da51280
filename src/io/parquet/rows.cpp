#include <arrow/record_batch.h>
#include <parquet/arrow/reader.h>

#include "caprl/core/pulse.h"
#include "io/parquet/file.h"
#include "io/parquet/to_json.h"

namespace caprl {
namespace {

constexpr int64_t kBatchRows = 512;

void refuse_other_types(const ColumnType& type, const std::string& path, const std::string& file) {
  if (type.kind == ColumnType::Kind::kOther)
    throw InputError("{}: column '{}': {} has no JSON form", file, path, type.exact);
  for (const ColumnType& part : type.parts) refuse_other_types(part, path + "." + part.name, file);
}

}  // namespace

struct ParquetRows::Impl {
  std::shared_ptr<const ParquetFile> file;
  std::vector<int> leaves;  // columns of the file that are read
  std::unique_ptr<parquet::arrow::FileReader> reader;
  std::unique_ptr<arrow::RecordBatchReader> batches;  // of the current row group
  std::shared_ptr<arrow::RecordBatch> batch;
  std::vector<std::shared_ptr<arrow::Array>> columns;  // of the batch
  int64_t group = -1, row = 0, in_batch = 0;

  const ParquetFile::Impl& opened() const { return file->impl(); }
  int64_t group_end() const {
    const RowGroupInfo& info = file->row_groups()[static_cast<size_t>(group)];
    return info.first_row + info.num_rows;
  }

  void choose_leaves(const std::vector<std::string>& wanted, const std::string& left_out) {
    const auto is_wanted = [&](const std::string& name) {
      return wanted.empty() || std::ranges::find(wanted, name) != wanted.end();
    };
    for (const ColumnType& column : file->columns())
      if (is_wanted(column.name)) refuse_other_types(column, column.name, file->path().string());
    const parquet::SchemaDescriptor& schema = *opened().metadata->schema();
    for (int i = 0; i < schema.num_columns(); ++i) {
      const auto path = schema.Column(i)->path();
      if (is_wanted(path->ToDotVector().front()) && path->ToDotString() != left_out)
        leaves.push_back(i);
    }
  }

  void open_reader() {
    parquet::ArrowReaderProperties properties;
    properties.set_pre_buffer(false);  // it would hold whole column chunks
    properties.set_batch_size(kBatchRows);
    with_arrow(file->path().string(), [&] {
      reader = value_of(parquet::arrow::FileReader::Make(
          arrow::default_memory_pool(),
          parquet::ParquetFileReader::Open(opened().source, reader_properties(), opened().metadata),
          properties));
    });
  }

  /// Why the row group cannot be read, with the first column of which that is true.
  std::string damaged_column() {
    for (const int leaf : leaves) {
      try {
        with_arrow("", [&] {
          const auto alone =
              value_of(reader->GetRecordBatchReader({static_cast<int>(group)}, {leaf}));
          while (value_of(alone->Next())) continue;
        });
      } catch (const InputError& error) {
        return fmt::format("column '{}'{}",
                           opened().metadata->schema()->Column(leaf)->path()->ToDotString(),
                           error.what());
      }
    }
    return "its columns end at different rows";
  }

  /// The rest of the row group as one row that says why.
  ParquetRow give_up() {
    ParquetRow lost;
    lost.index = row;
    lost.count = group_end() - row;
    const std::string reason = damaged_column();
    lost.damage = fmt::format("{}: rows {} to {} (row group {}): {}", file->path().string(), row,
                              group_end() - 1, group, reason);
    row = group_end();
    batch.reset();
    return lost;
  }

  /// Makes `batch` hold the row; an exception if the row group cannot be read on.
  void read_batch() {
    if (batch && in_batch < batch->num_rows()) return;
    pulse();
    batch = value_of(batches->Next());
    if (!batch || batch->num_rows() == 0)
      throw parquet::ParquetException("the row group ends early");
    columns = batch->columns();
    in_batch = 0;
  }

  bool open_group() {
    while (group < 0 || row == group_end()) {
      if (group + 1 == static_cast<int64_t>(file->row_groups().size())) return false;
      ++group;
      batches.reset();
      batch.reset();
    }
    return true;
  }

  ParquetRow take_row() {
    ParquetRow taken;
    taken.index = row++;
    taken.value = nlohmann::json::object();
    try {
      for (size_t c = 0; c < columns.size(); ++c) {
        const std::string& name = batch->schema()->field(static_cast<int>(c))->name();
        taken.value[name] = to_json(*columns[c], in_batch, name);
      }
    } catch (const InputError& error) {
      taken.damage = fmt::format("{}: {}", file->place(taken.index), error.what());
    }
    ++in_batch;
    return taken;
  }
};

ParquetRows::ParquetRows(std::shared_ptr<const ParquetFile> file,
                         const std::vector<std::string>& columns, const std::string& left_out)
    : impl_(std::make_unique<Impl>()) {
  impl_->file = std::move(file);
  impl_->choose_leaves(columns, left_out);
  impl_->open_reader();
}
ParquetRows::~ParquetRows() = default;

std::optional<ParquetRow> ParquetRows::next() {
  Impl& impl = *impl_;
  if (!impl.open_group()) return std::nullopt;
  try {
    with_arrow("", [&] {
      if (!impl.batches)
        impl.batches = value_of(
            impl.reader->GetRecordBatchReader({static_cast<int>(impl.group)}, impl.leaves));
      impl.read_batch();
    });
  } catch (const InputError&) {
    return impl.give_up();
  }
  return impl.take_row();
}

}  // namespace caprl
