#include "io/parquet/page_index.h"

#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <parquet/column_page.h>

#include "io/mapped_file.h"

namespace caprl {
namespace {

/// The file from one place to another. It knows where it was looked at last: a page's header, when
/// a page reader asks whether to skip the page.
class PartOfFile : public arrow::io::InputStream {
 public:
  PartOfFile(std::shared_ptr<arrow::io::RandomAccessFile> file, int64_t begin, int64_t end)
      : file_(std::move(file)), position_(begin), end_(end) {}

  int64_t looked_at() const { return looked_at_; }

  arrow::Result<std::string_view> Peek(int64_t size) override {
    looked_at_ = position_;
    ARROW_ASSIGN_OR_RAISE(view_, file_->ReadAt(position_, most(size)));
    return std::string_view(*view_);
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t size) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, file_->ReadAt(position_, most(size)));
    position_ += buffer->size();
    return buffer;
  }
  arrow::Result<int64_t> Read(int64_t size, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const int64_t count, file_->ReadAt(position_, most(size), out));
    position_ += count;
    return count;
  }
  arrow::Result<int64_t> Tell() const override { return position_; }
  arrow::Status Close() override { return arrow::Status::OK(); }
  bool closed() const override { return false; }

 private:
  int64_t most(int64_t size) const {
    return std::max<int64_t>(0, std::min(size, end_ - position_));
  }

  std::shared_ptr<arrow::io::RandomAccessFile> file_;
  int64_t position_, end_, looked_at_ = 0;
  std::shared_ptr<arrow::Buffer> view_;
};

std::unique_ptr<parquet::PageReader> open_pages(const ParquetFile::Impl& file, int64_t group,
                                                int column, std::shared_ptr<PartOfFile> part,
                                                int64_t num_values) {
  const auto chunk = file.metadata->RowGroup(static_cast<int>(group))->ColumnChunk(column);
  return parquet::PageReader::Open(std::move(part), num_values, chunk->compression(),
                                   reader_properties(), *file.metadata->schema()->Column(column));
}

/// A dictionary's page, if there is one, then a page of values.
class PageAfterDictionary : public parquet::PageReader {
 public:
  PageAfterDictionary(std::unique_ptr<parquet::PageReader> dictionary,
                      std::unique_ptr<parquet::PageReader> page)
      : dictionary_(std::move(dictionary)), page_(std::move(page)) {}
  std::shared_ptr<parquet::Page> NextPage() override {
    if (!dictionary_) return page_->NextPage();
    auto page = dictionary_->NextPage();
    read_dictionary_ = std::exchange(dictionary_, nullptr);
    return page;
  }
  void set_max_page_header_size(uint32_t size) override { page_->set_max_page_header_size(size); }

 private:
  std::unique_ptr<parquet::PageReader> dictionary_, page_;
  std::unique_ptr<parquet::PageReader> read_dictionary_;  // has the page's memory
};

}  // namespace

ColumnChunk find_pages(const ParquetFile::Impl& file, int64_t group, int column) {
  const auto row_group = file.metadata->RowGroup(static_cast<int>(group));
  const auto stored = row_group->ColumnChunk(column);
  ColumnChunk chunk;
  int64_t begin = stored->data_page_offset();
  if (stored->has_dictionary_page() && stored->dictionary_page_offset() > 0)
    begin = std::min(begin, stored->dictionary_page_offset());
  chunk.end = begin + stored->total_compressed_size();
  // Mapped: what is passed over is not read.
  const MappedFile mapped(file.path);
  const auto source = std::make_shared<arrow::io::BufferReader>(
      std::make_shared<arrow::Buffer>(reinterpret_cast<const uint8_t*>(mapped.bytes().data()),
                                      static_cast<int64_t>(mapped.bytes().size())));
  const auto part = std::make_shared<PartOfFile>(source, begin, chunk.end);
  const auto pages = open_pages(file, group, column, part, stored->num_values());
  int64_t row = 0;
  pages->set_data_page_filter([&](const parquet::DataPageStats& page) {
    chunk.pages.push_back({part->looked_at(), row, page.num_values});
    row += page.num_values;
    return true;
  });
  while (const auto page = pages->NextPage())
    if (page->type() == parquet::PageType::DICTIONARY_PAGE) chunk.dictionary = part->looked_at();
  if (row != row_group->num_rows())
    throw parquet::ParquetException(
        fmt::format("its pages have {} values, the row group {} rows", row, row_group->num_rows()));
  return chunk;
}

BytesPage::BytesPage(const ParquetFile::Impl& file, int64_t group, int column,
                     const ColumnChunk& chunk, const PagePlace& place) {
  const auto pages_at = [&](int64_t offset, int64_t num_values) {
    return open_pages(file, group, column,
                      std::make_shared<PartOfFile>(file.source, offset, chunk.end), num_values);
  };
  const parquet::ColumnDescriptor* descriptor = file.metadata->schema()->Column(column);
  reader_ = parquet::ColumnReader::Make(
      descriptor, std::make_unique<PageAfterDictionary>(
                      chunk.dictionary < 0 ? nullptr : pages_at(chunk.dictionary, 1),
                      pages_at(place.offset, place.num_rows)));
  auto& values = static_cast<parquet::ByteArrayReader&>(*reader_);
  const auto count = static_cast<size_t>(place.num_rows);
  std::vector<int16_t> levels(count, descriptor->max_definition_level());
  values_.resize(count);
  int64_t num_values = 0;
  // In one call: what it gives is valid until the next.
  if (values.ReadBatch(place.num_rows, levels.data(), nullptr, values_.data(), &num_values) !=
      place.num_rows)
    throw parquet::ParquetException("a page has fewer values than its header says");
  values_.resize(static_cast<size_t>(num_values));
  int64_t next = 0;
  for (const int16_t level : levels)
    places_.push_back(level == descriptor->max_definition_level() ? next++ : -1);
  if (next != num_values)
    throw parquet::ParquetException("a page's values and nulls do not add up");
  for (const parquet::ByteArray& value : values_) size_ += value.len;
}

std::optional<std::span<const std::byte>> BytesPage::value(int64_t row) const {
  const int64_t place = places_.at(static_cast<size_t>(row));
  if (place < 0) return std::nullopt;
  const parquet::ByteArray& value = values_[static_cast<size_t>(place)];
  return std::as_bytes(std::span(value.ptr, value.len));
}

}  // namespace caprl
