#include "tasks/records.h"

#include <algorithm>

#include "caprl/core/error.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Record record_of(JsonLine line, const fs::path& file, int64_t num_items) {
  Record record{0, std::move(line.value), fmt::format("{}:{}", file.string(), line.number)};
  const auto index = record.value.find("index");
  if (!record.value.is_object() || index == record.value.end() || !index->is_number_integer())
    throw InputError("{}: expected an object with an integer 'index'", record.where);
  record.index = index->get<int64_t>();
  if (record.index < 0 || record.index >= num_items)
    throw InputError(
        "{}: item {} is not in the data, which must be what the run began with: {} items",
        record.where, record.index, num_items);
  return record;
}

}  // namespace

fs::path records_file(const fs::path& dir, const std::string& stem, int64_t rank, int64_t size) {
  return dir /
         (size == 1 ? stem + ".jsonl" : fmt::format("{}-{:05}-of-{:05}.jsonl", stem, rank, size));
}

std::vector<fs::path> records_files(const fs::path& dir, const std::string& stem) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    const bool is_named = name.starts_with(stem + ".") || name.starts_with(stem + "-");
    if (is_named && name.ends_with(".jsonl")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void repair_records(const fs::path& dir, const std::string& stem) {
  for (const auto& file : records_files(dir, stem)) JsonlAppender appender(file);
}

void for_each_record(const std::vector<fs::path>& files, int64_t num_items,
                     const std::function<void(Record)>& use) {
  for (const auto& file : files) {
    if (fs::file_size(file) == 0) continue;
    JsonlReader reader(file);
    while (auto line = reader.next()) use(record_of(*std::move(line), file, num_items));
  }
}

class RecordMerge::Lines {
 public:
  Lines(const fs::path& file, int64_t num_items)
      : file_(file), num_items_(num_items), reader_(file) {
    advance();
  }
  std::optional<Record>& current() { return current_; }
  void advance() {
    const int64_t before = current_ ? current_->index : -1;
    auto line = reader_.next();
    current_.reset();
    if (!line) return;
    current_ = record_of(*std::move(line), file_, num_items_);
    if (current_->index <= before)
      throw InputError("{}: expected an item after {}, got {}", current_->where, before,
                       current_->index);
  }

 private:
  fs::path file_;
  int64_t num_items_;
  JsonlReader reader_;
  std::optional<Record> current_;
};

RecordMerge::RecordMerge(const std::vector<fs::path>& files, int64_t num_items) {
  for (const auto& file : files)
    if (fs::file_size(file) > 0) files_.push_back(std::make_unique<Lines>(file, num_items));
}

RecordMerge::~RecordMerge() = default;

std::optional<Record> RecordMerge::next() {
  Lines* first = nullptr;
  for (const auto& file : files_)
    if (file->current() && (!first || file->current()->index < first->current()->index))
      first = file.get();
  if (!first) return std::nullopt;
  std::optional<Record> record = std::move(first->current());
  first->current().emplace(Record{record->index, {}, {}});  // what the next one must come after
  first->advance();
  return record;
}

std::optional<Record> RecordMerge::find(int64_t index) {
  for (const auto& file : files_)
    while (file->current() && file->current()->index < index) file->advance();
  for (const auto& file : files_)
    if (file->current() && file->current()->index == index) return next();
  return std::nullopt;
}

}  // namespace caprl
