#include "cli/data_inspect.h"

#include <fmt/format.h>

#include <iostream>

#include "caprl/core/error.h"
#include "caprl/core/excerpt.h"
#include "caprl/data/reader.h"
#include "caprl/io/parquet.h"

namespace caprl {
namespace {

using nlohmann::json;

constexpr size_t kLongestText = 200;

/// For people: long texts cut, bytes counted.
json abridged(const json& value) {
  if (value.is_string()) return excerpt(value.get<std::string>(), kLongestText);
  if (value.is_binary()) return fmt::format("<{} bytes>", value.get_binary().size());
  if (!value.is_structured()) return value;
  json copy = value;
  for (json& part : copy) part = abridged(part);
  return copy;
}

void print_schema(const ParquetFile& file) {
  std::cout << fmt::format("Parquet, {} rows, {} row groups\n\ncolumns\n", file.num_rows(),
                           file.row_groups().size());
  for (const ColumnType& column : file.columns())
    std::cout << fmt::format("  {}: {}\n", column.name, describe(column));
  std::cout << "\nrow group  first row      rows   MB stored  MB of values\n";
  for (size_t g = 0; g < file.row_groups().size(); ++g) {
    const RowGroupInfo& group = file.row_groups()[g];
    std::cout << fmt::format("{:>9}  {:>9}  {:>8}  {:>10.2f}  {:>12.2f}\n", g, group.first_row,
                             group.num_rows, static_cast<double>(group.stored_bytes) / 1e6,
                             static_cast<double>(group.bytes) / 1e6);
  }
  std::cout << "\n";
}

int64_t count_rows(const std::filesystem::path& file) {
  int64_t count = 0;
  for (const auto reader = DataReader::open(file, RowKind::kAny); reader->next();) ++count;
  return count;
}

void print_row(DataReader& reader, const RowPlace& place) {
  try {
    json row = reader.row();
    if (place.image.store) {
      const SharedBytes image = place.image.store->read(place.image.index);
      row["image"]["bytes"] = fmt::format("<{} bytes>", image.bytes.size());
    }
    std::cout << place.where << "\n" << abridged(row).dump(2) << "\n";
  } catch (const InputError& error) {
    std::cout << error.what() << "\n";
  }
}

}  // namespace

void inspect_data(const std::filesystem::path& file, int64_t num_rows) {
  if (file.extension() == ".parquet" || is_parquet(file))
    print_schema(ParquetFile(file));
  else
    std::cout << fmt::format("JSONL, {} rows\n\n", count_rows(file));
  const auto reader = DataReader::open(file, RowKind::kAny);
  for (int64_t i = 0; i < num_rows; ++i) {
    const auto place = reader->next();
    if (!place) break;
    print_row(*reader, *place);
  }
}

}  // namespace caprl
