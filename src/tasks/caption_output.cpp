#include "tasks/caption_output.h"

#include <algorithm>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/base64.h"
#include "tasks/records.h"
#include "tasks/rows_writer.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::vector<ColumnType> columns_of(const CaptionOutputConfig& config) {
  std::vector<ColumnType> columns = {integer_column("index"), text_column("id"),
                                     config.embed_images ? image_column() : text_column("image")};
  if (config.records == CaptionRecords::kPairs)
    columns.push_back(text_column("caption"));
  else
    columns.push_back(list_column(
        "captions", struct_column("", {text_column("text"), integer_column("num_tokens"),
                                       text_column("finish_reason")})));
  return columns;
}

fs::path parquet_file(fs::path lines) { return lines.replace_extension(".parquet"); }

void decode_image(json& line, const std::string& where) {
  try {
    json& bytes = line.at("image").at("bytes");
    const auto content = decode_base64(bytes.get_ref<const std::string&>(), where);
    const auto* begin = reinterpret_cast<const uint8_t*>(content.data());
    bytes = json::binary({begin, begin + content.size()});
  } catch (const json::exception& error) {
    throw InputError("{}: expected a record with its image: {}", where, error.what());
  }
}

/// The lines' rows in a Parquet file; the lines go.
void to_parquet(const fs::path& lines, const CaptionOutputConfig& config) {
  if (!fs::exists(parquet_file(lines)) && fs::file_size(lines) > 0) {
    const auto rows = RowsWriter::parquet(parquet_file(lines), columns_of(config));
    JsonlReader reader(lines);
    while (auto line = reader.next()) {
      const std::string where = fmt::format("{}:{}", lines.string(), line->number);
      if (config.embed_images) decode_image(line->value, where);
      rows->append(line->value, where);
    }
    rows->commit();
  }
  fs::remove(lines);
}

/// "captions-00001-of-00004" of "captions-00001-of-00004.000003.jsonl".
fs::path base_of(const fs::path& lines) {
  const std::string name = lines.filename().string();
  return lines.parent_path() / name.substr(0, name.find('.'));
}

int64_t count_lines(const fs::path& file) {
  int64_t count = 0;
  if (fs::file_size(file) == 0) return count;
  JsonlReader reader(file);
  while (reader.next_text()) ++count;
  return count;
}

}  // namespace

CaptionOutput::CaptionOutput(fs::path base, const CaptionOutputConfig& config)
    : base_(std::move(base)), config_(config) {
  const bool is_single = config_.format == CaptionFormat::kJsonl && config_.rows_per_shard == 0;
  while (!is_single && (fs::exists(lines_file()) || fs::exists(parquet_file(lines_file()))))
    ++number_;
  // The last one goes on, if it is one of lines.
  if (number_ > 0) {
    --number_;
    if (!fs::exists(lines_file())) ++number_;
  }
  open();
}

fs::path CaptionOutput::lines_file() const {
  const bool is_single = config_.format == CaptionFormat::kJsonl && config_.rows_per_shard == 0;
  return is_single ? base_.string() + ".jsonl"
                   : fmt::format("{}.{:06}.jsonl", base_.string(), number_);
}

void CaptionOutput::open() {
  lines_ = std::make_unique<JsonlAppender>(lines_file());
  rows_ = config_.rows_per_shard == 0 ? 0 : count_lines(lines_file());
}

void CaptionOutput::append(const json& line) {
  if (config_.rows_per_shard > 0 && rows_ >= config_.rows_per_shard) {
    finish_shard();
    ++number_;
    open();
  }
  lines_->append(line);
  ++rows_;
}

void CaptionOutput::finish_shard() {
  lines_.reset();
  sync_path(lines_file());
  if (config_.format == CaptionFormat::kParquet) to_parquet(lines_file(), config_);
}

void CaptionOutput::close() { finish_shard(); }

void repair_captions(const fs::path& dir, const std::string& stem,
                     const CaptionOutputConfig& config, const std::vector<fs::path>& bases) {
  for (const fs::path& lines : records_files(dir, stem)) {
    { JsonlAppender appender(lines); }
    if (config.format == CaptionFormat::kJsonl) continue;
    const bool goes_on = std::ranges::find(bases, base_of(lines)) != bases.end();
    if (!goes_on || fs::exists(parquet_file(lines))) to_parquet(lines, config);
  }
}

void for_each_captioned(const fs::path& dir, const std::string& stem, int64_t num_items,
                        const std::function<void(int64_t)>& use) {
  for_each_record(records_files(dir, stem), num_items,
                  [&](const Record& record) { use(record.index); });
  for (const auto& entry : fs::directory_iterator(dir)) {
    const std::string name = entry.path().filename().string();
    const bool is_named = name.starts_with(stem + ".") || name.starts_with(stem + "-");
    if (!is_named || !name.ends_with(".parquet")) continue;
    ParquetRows rows(std::make_shared<const ParquetFile>(entry.path()), {"index"}, "");
    while (const auto row = rows.next()) {
      if (!row->damage.empty()) throw InputError("{}", row->damage);
      const int64_t index = row->value.at("index").get<int64_t>();
      if (index < 0 || index >= num_items)
        throw InputError("{}: item {} is not in the data, which must be what the run began with",
                         entry.path().string(), index);
      use(index);
    }
  }
}

}  // namespace caprl
