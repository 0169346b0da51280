// An open Parquet file as Arrow's readers see it, for the files of this folder.
#pragma once
#include <arrow/io/interfaces.h>
#include <arrow/result.h>
#include <arrow/status.h>
#include <arrow/type.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>
#include <parquet/properties.h>

#include <algorithm>

#include "caprl/core/error.h"
#include "caprl/io/parquet.h"

namespace caprl {

struct ParquetFile::Impl {
  std::filesystem::path path;
  std::shared_ptr<arrow::io::RandomAccessFile> source;  // its ReadAt is thread safe
  std::shared_ptr<parquet::FileMetaData> metadata;
  std::shared_ptr<arrow::Schema> schema;
  std::vector<ColumnType> columns;
  std::vector<RowGroupInfo> row_groups;

  /// The number of the row group that has the row.
  int64_t group_of(int64_t row) const;
};

/// Column chunks are read page by page, checksums are compared where the file has them.
parquet::ReaderProperties reader_properties();

/// The first line of what Arrow says.
std::string plain_reason(const std::string& message);

/// What `work` gives; what Arrow throws or returns is an InputError that `where` leads.
template <class Work>
auto with_arrow(std::string_view where, Work&& work) {
  try {
    if constexpr (std::is_same_v<decltype(work()), arrow::Status>) {
      const arrow::Status status = work();
      if (!status.ok()) throw InputError("{}: {}", where, plain_reason(status.message()));
    } else {
      return work();
    }
  } catch (const parquet::ParquetException& error) {
    throw InputError("{}: {}", where, plain_reason(error.what()));
  } catch (const std::bad_alloc&) {
    throw InputError("{}: a size in it is beyond this machine's memory", where);
  }
}

/// The result's value, or its status as an exception that with_arrow() turns into an InputError.
template <class T>
T value_of(arrow::Result<T> result) {
  if (!result.ok()) throw parquet::ParquetStatusException(result.status());
  return *std::move(result);
}

}  // namespace caprl
