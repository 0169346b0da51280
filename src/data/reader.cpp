#include "caprl/data/reader.h"

#include <glob.h>

#include <algorithm>

#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "caprl/io/jsonl.h"
#include "caprl/io/parquet.h"
#include "data/columns.h"
#include "data/json_array.h"
#include "data/tar_rows.h"

namespace caprl {
namespace {

constexpr const char* kImageBytes = "image.bytes";

class JsonlRows : public DataReader {
 public:
  explicit JsonlRows(const std::filesystem::path& file) : lines_(file) {}
  std::optional<RowPlace> next() override {
    line_ = lines_.next_text();
    if (!line_) return std::nullopt;
    return RowPlace{line_->where, 1, {}};
  }
  nlohmann::json row() override { return parse_json(line_->text, line_->where); }

 private:
  JsonlReader lines_;
  std::optional<TextLine> line_;
};

class ParquetImages : public ImageStore {
 public:
  explicit ParquetImages(const std::shared_ptr<const ParquetFile>& file)
      : file_(file), bytes_(file, kImageBytes) {}
  SharedBytes read(int64_t row) const override {
    if (auto bytes = bytes_.read(row)) return *std::move(bytes);
    throw InputError("{}: the image is null", file_->place(row));
  }
  const ParquetBytes& bytes() const { return bytes_; }

 private:
  std::shared_ptr<const ParquetFile> file_;
  ParquetBytes bytes_;
};

bool has_image_bytes(const ParquetFile& file) {
  const auto image = std::ranges::find(file.columns(), "image", &ColumnType::name);
  const ColumnType* bytes = image == file.columns().end() ? nullptr : image->find("bytes");
  return bytes && bytes->kind == ColumnType::Kind::kBytes;
}

class ParquetDataRows : public DataReader {
 public:
  ParquetDataRows(const std::shared_ptr<const ParquetFile>& file,
                  const std::vector<std::string>& columns)
      : file_(file), rows_(file, columns, has_image_bytes(*file) ? kImageBytes : "") {
    const bool wants_image =
        columns.empty() || std::ranges::find(columns, "image") != columns.end();
    if (wants_image && has_image_bytes(*file)) images_ = std::make_shared<ParquetImages>(file);
  }

  std::optional<RowPlace> next() override {
    row_ = rows_.next();
    if (!row_ && file_->num_rows() == 0)
      throw InputError("{}: expected rows, got none", file_->path().string());
    if (!row_) return std::nullopt;
    RowPlace place{file_->place(row_->index), row_->count, {}};
    if (images_ && row_->damage.empty() && has_image(row_->index))
      place.image = {images_, row_->index};
    return place;
  }

  nlohmann::json row() override {
    if (!row_->damage.empty()) throw InputError("{}", row_->damage);
    return std::move(row_->value);
  }

 private:
  bool has_image(int64_t row) {
    const auto& groups = file_->row_groups();
    while (group_ < 0 || row >= groups[group_].first_row + groups[group_].num_rows)
      present_ = images_->bytes().present(++group_);
    return present_[static_cast<size_t>(row - groups[group_].first_row)];
  }

  std::shared_ptr<const ParquetFile> file_;
  ParquetRows rows_;
  std::shared_ptr<const ParquetImages> images_;
  std::optional<ParquetRow> row_;
  int64_t group_ = -1;
  std::vector<bool> present_;  // of the row group: whether the rows have image bytes
};

}  // namespace

std::vector<std::string> expand_data_files(const std::vector<std::string>& names) {
  std::vector<std::string> files;
  for (const std::string& name : names) {
    std::error_code error;
    if (name.find_first_of("*?[") == std::string::npos || std::filesystem::exists(name, error)) {
      files.push_back(name);
      continue;
    }
    glob_t found{};
    const int failure = ::glob(name.c_str(), GLOB_ERR, nullptr, &found);
    std::vector<std::string> matches(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    ::globfree(&found);
    if (failure != 0 || matches.empty()) throw InputError("{}: the pattern matches no file", name);
    std::ranges::sort(matches);
    files.insert(files.end(), matches.begin(), matches.end());
  }
  return files;
}

std::unique_ptr<DataReader> DataReader::open(const std::filesystem::path& file, RowKind kind) {
  if (file.extension() == ".json" && is_json_array(file))
    return std::make_unique<JsonArrayRows>(file);
  if (file.extension() == ".tar") return std::make_unique<TarRows>(file);
  if (file.extension() != ".parquet" && !is_parquet(file)) return std::make_unique<JsonlRows>(file);
  const auto parquet = std::make_shared<const ParquetFile>(file);
  check_columns(*parquet, kind);
  return std::make_unique<ParquetDataRows>(parquet, columns_of(kind));
}

}  // namespace caprl
