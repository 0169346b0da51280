#include <parquet/statistics.h>

#include <future>
#include <map>
#include <mutex>

#include "io/parquet/page_index.h"

namespace caprl {
namespace {

using SharedPage = std::shared_ptr<const BytesPage>;

int column_of(const ParquetFile& file, const std::string& part) {
  const parquet::SchemaDescriptor& schema = *file.impl().metadata->schema();
  for (int i = 0; i < schema.num_columns(); ++i) {
    const parquet::ColumnDescriptor& column = *schema.Column(i);
    if (column.path()->ToDotString() != part) continue;
    if (column.physical_type() != parquet::Type::BYTE_ARRAY || column.max_repetition_level() > 0)
      throw InputError("{}: column '{}': expected bytes, one value a row, got {}",
                       file.path().string(), part, parquet::TypeToString(column.physical_type()));
    return i;
  }
  throw InputError("{}: has no column '{}'", file.path().string(), part);
}

}  // namespace

struct ParquetBytes::Impl {
  std::shared_ptr<const ParquetFile> file;
  std::string part;
  int column = 0;
  int64_t cache_bytes = 0;

  struct Slot {
    std::shared_future<SharedPage> page;
    int64_t bytes = 0;
    int64_t used = 0;  // when, in calls
  };
  using Key = std::pair<int64_t, int64_t>;  // row group, page
  mutable std::mutex mutex;
  mutable std::map<int64_t, std::shared_ptr<const ColumnChunk>> chunks;  // by row group
  mutable std::map<Key, Slot> slots;
  mutable int64_t cached = 0, calls = 0;

  std::string place(int64_t row) const {
    return fmt::format("{}: column '{}'", file->place(row), part);
  }

  std::shared_ptr<const ColumnChunk> chunk(int64_t group) const {
    const std::lock_guard lock(mutex);
    auto& found = chunks[group];
    if (!found) found = std::make_shared<ColumnChunk>(find_pages(file->impl(), group, column));
    return found;
  }

  /// The page, decoded once however many threads ask for it at a time.
  SharedPage page(int64_t group, const ColumnChunk& chunk, int64_t number) const {
    const Key key{group, number};
    std::promise<SharedPage> promise;
    {
      std::unique_lock lock(mutex);
      const auto [slot, is_new] = slots.try_emplace(key);
      slot->second.used = ++calls;
      if (!is_new) {
        const auto waited_for = slot->second.page;
        lock.unlock();
        return waited_for.get();
      }
      slot->second.page = promise.get_future().share();
    }
    try {
      auto page = std::make_shared<const BytesPage>(file->impl(), group, column, chunk,
                                                    chunk.pages[static_cast<size_t>(number)]);
      promise.set_value(page);
      keep(key, page->size());
      return page;
    } catch (...) {
      promise.set_exception(std::current_exception());
      const std::lock_guard lock(mutex);
      slots.erase(key);
      throw;
    }
  }

  /// Counts a page as cached and lets go of those that were used longest ago.
  void keep(const Key& key, int64_t bytes) const {
    const std::lock_guard lock(mutex);
    slots.at(key).bytes = bytes;
    cached += bytes;
    while (cached > cache_bytes) {
      auto oldest = slots.end();
      for (auto slot = slots.begin(); slot != slots.end(); ++slot)
        if (slot->second.bytes > 0 && slot->first != key &&
            (oldest == slots.end() || slot->second.used < oldest->second.used))
          oldest = slot;
      if (oldest == slots.end()) return;
      cached -= oldest->second.bytes;
      slots.erase(oldest);
    }
  }
};

ParquetBytes::ParquetBytes(std::shared_ptr<const ParquetFile> file, const std::string& part,
                           int64_t cache_bytes)
    : impl_(std::make_unique<Impl>()) {
  impl_->column = column_of(*file, part);
  impl_->file = std::move(file);
  impl_->part = part;
  impl_->cache_bytes = cache_bytes;
}
ParquetBytes::~ParquetBytes() = default;

std::optional<SharedBytes> ParquetBytes::read(int64_t row) const {
  return with_arrow(impl_->place(row), [&]() -> std::optional<SharedBytes> {
    const int64_t group = impl_->file->impl().group_of(row);
    const auto chunk = impl_->chunk(group);
    const int64_t in_group = row - impl_->file->row_groups()[static_cast<size_t>(group)].first_row;
    const auto after = std::ranges::upper_bound(chunk->pages, in_group, {}, &PagePlace::first_row);
    const int64_t number = after - chunk->pages.begin() - 1;
    auto page = impl_->page(group, *chunk, number);
    const auto value = page->value(in_group - chunk->pages[static_cast<size_t>(number)].first_row);
    if (!value) return std::nullopt;
    return SharedBytes{std::move(page), *value};
  });
}

std::vector<bool> ParquetBytes::present(int64_t row_group) const {
  const RowGroupInfo& info = impl_->file->row_groups()[static_cast<size_t>(row_group)];
  std::vector<bool> present(static_cast<size_t>(info.num_rows), true);
  const auto group = impl_->file->impl().metadata->RowGroup(static_cast<int>(row_group));
  const auto statistics = group->ColumnChunk(impl_->column)->statistics();
  if (statistics && statistics->HasNullCount() && statistics->null_count() == 0) return present;
  for (int64_t i = 0; i < info.num_rows; ++i) {
    try {
      present[static_cast<size_t>(i)] = read(info.first_row + i).has_value();
    } catch (const InputError&) {
      continue;  // said when the row is used
    }
  }
  return present;
}

}  // namespace caprl
