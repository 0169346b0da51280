// Where the pages of one column lie in a file, and their values.
#pragma once
#include <parquet/column_reader.h>
#include <parquet/types.h>

#include "caprl/core/shared_bytes.h"
#include "io/parquet/file.h"

namespace caprl {

struct PagePlace {
  int64_t offset = 0;  // of its header in the file
  int64_t first_row = 0, num_rows = 0;
};

/// One row group's part of a column that is in no list: one value, or null, a row.
struct ColumnChunk {
  std::vector<PagePlace> pages;
  int64_t dictionary = -1;  // offset of its page, if there is one
  int64_t end = 0;          // of the chunk in the file
};

/// Reads the headers of a chunk's pages. Throws what with_arrow() catches.
ColumnChunk find_pages(const ParquetFile::Impl& file, int64_t group, int column);

/// The values of a page, decompressed; views into it.
class BytesPage {
 public:
  /// Throws what with_arrow() catches.
  BytesPage(const ParquetFile::Impl& file, int64_t group, int column, const ColumnChunk& chunk,
            const PagePlace& place);
  /// Absent: null. `row` counts from the page's first.
  std::optional<std::span<const std::byte>> value(int64_t row) const;
  int64_t size() const { return size_; }  // in bytes

 private:
  std::shared_ptr<parquet::ColumnReader> reader_;  // has the memory
  std::vector<parquet::ByteArray> values_;         // without nulls
  std::vector<int64_t> places_;                    // of the rows' values, −1: null
  int64_t size_ = 0;
};

}  // namespace caprl
